-- Add a dependency on each of these steps to every waiting step of this version or a later one that
-- has it as a parent.
INSERT OR IGNORE INTO dependencies (parent_id, child_id, kind)
SELECT parent.key, child.step_id, parent.value
FROM step_tracker AS child INDEXED BY step_tracker_with_parents
CROSS JOIN json_each(child.parents) AS parent
WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
    AND child.status = 'waiting' AND child.version >= :least_version
    AND parent.key IN (SELECT value FROM json_each(:parent_ids))
