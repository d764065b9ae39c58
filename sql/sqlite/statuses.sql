SELECT step_id, status
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
