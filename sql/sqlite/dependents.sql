-- The dependencies on steps that ended, given by id and whether they are lost: they failed or were
-- cancelled. With them fall the waiting steps that need their success, and so on down.
WITH RECURSIVE ended (step_id, is_lost) AS (
    SELECT key, value FROM json_each(:ended)
    UNION
    SELECT dependency.child_id, 1
    FROM ended
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = ended.step_id
    CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id
    WHERE ended.is_lost AND dependency.kind = 'success' AND +child.status = 'waiting'
)
SELECT dependency.parent_id, dependency.child_id, dependency.kind, child.status
FROM ended
CROSS JOIN dependencies AS dependency ON dependency.parent_id = ended.step_id
CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id
