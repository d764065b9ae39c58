SELECT step_id, parents
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids)) AND parents IS NOT NULL
