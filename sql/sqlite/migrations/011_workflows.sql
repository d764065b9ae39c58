-- The steps of a workflow, in the order of their submission.
CREATE INDEX IF NOT EXISTS step_tracker_workflow ON step_tracker (workflow_id)
    WHERE workflow_id IS NOT NULL;
