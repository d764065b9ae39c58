-- The steps that depend on one of these, or on others of them, and so on down.
WITH RECURSIVE below (step_id) AS (
    SELECT dependency.child_id
    FROM json_each(:step_ids) AS parent
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = parent.value
    UNION
    SELECT dependency.child_id
    FROM below
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = below.step_id
)
SELECT step_id FROM below
