-- The steps that fell and that no parent keeps from coming back: whether the parent that their error
-- names is back, and whether this change brought one back. A step that a user cancelled, or that has
-- begun, has no such error.
(
    SELECT
        step_id, version,
        COUNT(
            CASE
                WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
            END
        ) AS parents_back,
        COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
    FROM (
        SELECT
            parent.*,
            kind = 'success'
                AND error IN (
                    'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                ) AS is_named
        FROM {{parents}} AS parent
        WHERE status = 'cancelled' AND error LIKE 'parent %'
    ) AS edge
    GROUP BY step_id, version
    HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
) AS fallen
