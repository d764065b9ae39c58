-- The steps of a workflow after the row :after.
SELECT step.rowid, {workflow_columns with error = substr(step.error, 1, 500)}
FROM step_tracker AS step INDEXED BY step_tracker_workflow
WHERE step.workflow_id = :workflow_id AND step.rowid > :after
ORDER BY step.rowid
LIMIT :limit
