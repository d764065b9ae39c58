-- Whether a step meets all conditions of a filter. The labels are pairs as they are in the JSON text
-- of a step, each after a comma.
(:statuses IS NULL OR step.status IN (SELECT value FROM json_each(:statuses)))
AND (:task_types IS NULL OR step.task_type IN (SELECT value FROM json_each(:task_types)))
AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
AND NOT EXISTS (
    SELECT 1
    FROM json_each(:labels)
    WHERE instr(',' || substr(coalesce(step.labels, ''), 2), value) = 0
)
AND (:pod_id IS NULL OR step.claimed_by = :pod_id)
AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
