-- The rowids of the first steps of the queue, as one JSON value; whether a claim may take all of
-- them, since no prefetched one is on its last try and the sum of their payloads is not too large;
-- whether these are the first steps at all: those that wait are of one queue, which has no limits,
-- and of one task type, and all or none have keys; and these queue and task type.
WITH
    first AS MATERIALIZED (
        SELECT queue, task_type, key IS NULL AS is_keyless
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    ),
    last AS MATERIALIZED (
        SELECT queue, task_type, key IS NULL AS is_keyless
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue DESC, task_type DESC, key IS NULL DESC
        LIMIT 1
    )
SELECT
    json_group_array(id),
    (count(*) < 2 OR total(size) <= :most_bytes)
        AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0),
    EXISTS (SELECT 1 FROM first JOIN last USING (queue, task_type, is_keyless))
        AND NOT EXISTS (
            SELECT 1
            FROM queues
            JOIN first USING (queue)
            WHERE {{has_limits}}
        ),
    (SELECT queue FROM first),
    (SELECT task_type FROM first)
FROM (
    SELECT rowid AS id, length(CAST(payload AS BLOB)) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND queue = (SELECT queue FROM first) AND task_type = (SELECT task_type FROM first)
        AND (key IS NULL) = (SELECT is_keyless FROM first)
        AND {{is_due}}
    ORDER BY priority DESC, created_ts, step_id
    LIMIT :limit
)
