DELETE FROM dependencies
WHERE (parent_id, child_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:removed))
