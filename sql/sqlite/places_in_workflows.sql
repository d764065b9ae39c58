-- The rows of the steps of all workflows.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_workflow
WHERE workflow_id IS NOT NULL
LIMIT :limit
