-- Make those waiting steps ready whose parents have ended as they require, and cancel those of which
-- one has ended otherwise, by the rule of settle in core/dependencies.py, which has the texts.
UPDATE {step_tracker}
{{evolve_after}}
FROM (
    SELECT
        step_id, version, pod_id,
        CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
        {event_values with
            error = CASE
                WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
            END
        }
    FROM (
        SELECT
            step_id, version,
            COALESCE(
                MAX(
                    CASE
                        WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                            THEN parent_changed_for
                    END
                ),
                MAX(changed_for)
            ) AS pod_id,
            COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
            COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
            MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
            MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                AS cancelled_parent
        FROM {{parents}} AS parent
        WHERE status = 'waiting'
        GROUP BY step_id, version
    ) AS child
    WHERE open_parents = 0 OR lost_parents > 0
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
