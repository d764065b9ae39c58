DELETE FROM dependencies
WHERE child_id IN (SELECT value FROM json_each(:step_ids))
