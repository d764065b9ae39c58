-- Whether a step meets the conditions of a filter on columns that never change.
(:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
