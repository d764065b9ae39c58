-- The first steps with keys of a queue with one task type, of each key as many as it has room for, at
-- most :each of a key. Reads one entry of an index for each key, however many steps wait with it.
WITH RECURSIVE
    used AS MATERIALIZED (
        SELECT value ->> 0 AS key, value ->> 1 AS claimed
        FROM json_each(:used)
    ),
    waiting (key) AS (
        SELECT min(key)
        FROM step_tracker INDEXED BY step_tracker_key
        WHERE status = 'pending' AND is_queued = 1 AND key IS NOT NULL AND queue = :queue
            AND task_type = :task_type
        UNION ALL
        SELECT (
            SELECT min(step_tracker.key)
            FROM step_tracker INDEXED BY step_tracker_key
            WHERE status = 'pending' AND is_queued = 1 AND step_tracker.key IS NOT NULL
                AND queue = :queue AND task_type = :task_type AND step_tracker.key > waiting.key
        )
        FROM waiting
        WHERE key IS NOT NULL
    ),
    room (key, steps) AS MATERIALIZED (
        SELECT key, :per_key - coalesce(claimed, 0)
        FROM waiting
        LEFT JOIN used USING (key)
        WHERE key IS NOT NULL AND :per_key > coalesce(claimed, 0)
    ),
    first (id) AS (
        SELECT step.value
        FROM room
        JOIN json_each((
            SELECT json_group_array(id)
            FROM (
                SELECT rowid AS id
                FROM step_tracker INDEXED BY step_tracker_key
                WHERE status = 'pending' AND is_queued = 1 AND key IS NOT NULL AND queue = :queue
                    AND task_type = :task_type AND key = room.key
                    AND {{is_due}}
                ORDER BY priority DESC, created_ts, step_id
                LIMIT :each
            )
        )) AS step
        WHERE step.key < room.steps
    )
SELECT
    {{claim_candidate}}
FROM first
JOIN step_tracker ON step_tracker.rowid = first.id
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit
