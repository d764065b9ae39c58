-- The cancelled steps that depend on the success of one of these, or of others of them.
WITH RECURSIVE lost (step_id) AS (
    SELECT value FROM json_each(:step_ids)
    UNION
    SELECT dependency.child_id
    FROM lost
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = lost.step_id
    CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id
    WHERE dependency.kind = 'success' AND +child.status = 'cancelled'
)
SELECT lost.step_id
FROM lost
CROSS JOIN step_tracker AS step ON step.step_id = lost.step_id
WHERE +step.status = 'cancelled'
