-- Delete the dependencies of the steps that are pruned, and those on them, before the rows.
DELETE FROM dependencies
WHERE (parent_id, child_id) IN (
    SELECT dependency.parent_id, dependency.child_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    CROSS JOIN dependencies AS dependency
        ON dependency.parent_id = step.step_id
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
    UNION ALL
    SELECT dependency.parent_id, dependency.child_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    CROSS JOIN dependencies AS dependency ON dependency.child_id = step.step_id
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
)
