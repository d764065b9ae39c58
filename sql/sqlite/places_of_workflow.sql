-- The rows of the steps of a workflow.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_workflow
WHERE workflow_id = :workflow_id
LIMIT :limit
