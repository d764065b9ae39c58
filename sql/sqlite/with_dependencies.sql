SELECT value
FROM json_each(:step_ids)
WHERE EXISTS (SELECT 1 FROM dependencies WHERE child_id = value)
