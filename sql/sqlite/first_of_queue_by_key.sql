-- The first steps with keys of a queue with one task type, of each key as many as it has room for, among the
-- next :window that wait. The last column says how many these were. :used has the numbers of claimed
-- steps, pairs of key and number.
WITH used AS MATERIALIZED (
    SELECT value ->> 0 AS key, value ->> 1 AS claimed
    FROM json_each(:used)
)
SELECT id, step_id, priority, created_ts, queue, key, payload_size, has_tries_left, seen
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY key ORDER BY priority DESC, created_ts, step_id) AS place,
        count(*) OVER () AS seen
    FROM (
        SELECT
            {{claim_candidate}}
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
            AND (key IS NULL) = 0
            AND {{is_due}}
        ORDER BY priority DESC, created_ts, step_id
        LIMIT :window
    )
)
LEFT JOIN used USING (key)
WHERE place <= :per_key - coalesce(claimed, 0)
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit
