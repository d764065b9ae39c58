SELECT parent_id, child_id, kind
FROM dependencies
WHERE child_id IN (SELECT value FROM json_each(:step_ids))
