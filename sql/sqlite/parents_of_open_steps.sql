-- Those of the steps that are parents of steps that are not final.
SELECT DISTINCT parent.key
FROM step_tracker AS child INDEXED BY step_tracker_with_parents
CROSS JOIN json_each(child.parents) AS parent
WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
    AND parent.key IN (SELECT value FROM json_each(:step_ids))
