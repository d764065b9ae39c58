-- Replay those failed or cancelled steps with parents that no parent keeps from it, neither one that
-- is not replayed nor, as long as :is_ordered, one that may be replayed by this change. Those that
-- have open parents wait again. See replays in core/dependencies.py.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step_id, version, :pod_id AS pod_id,
        CASE WHEN open_parents > 0 THEN 'restored' ELSE 'replayed' END AS type,
        {event_values with available_ts = TO_TIMESTAMP_LTZ(0, 6)}
    FROM (
        SELECT
            parent.step_id, parent.version,
            COUNT(CASE WHEN parent.is_open THEN 1 END) AS open_parents,
            COUNT(CASE WHEN parent.is_lost THEN 1 END) AS lost_parents,
            COUNT(
                CASE
                    WHEN parent.parent_status IN ('failed', 'cancelled')
                        AND other.step_id IS NOT NULL
                        THEN 1
                END
            ) AS parents_to_replay
        FROM {{parents}} AS parent
        JOIN (
            SELECT value::VARCHAR AS step_id
            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
        ) AS requested ON requested.step_id = parent.step_id
        LEFT JOIN (
            SELECT value::VARCHAR AS step_id
            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
        ) AS other ON other.step_id = parent.parent_id
        WHERE parent.status IN ('failed', 'cancelled')
        GROUP BY parent.step_id, parent.version
    ) AS child
    WHERE lost_parents = 0 AND (parents_to_replay = 0 OR NOT :is_ordered)
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
