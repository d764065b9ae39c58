-- Whether a claim may take all of the first steps of the queue: none that would wait is on its last
-- try, and the payloads are not too large together.
SELECT (count(*) < 2 OR total(size) <= :most_bytes)
    AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0)
FROM (
    SELECT length(payload) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND due = 1
        AND (
            available_ts <= max(:now, last_update_ts)
            OR (version > 1 AND last_update_ts > :now)
        )
    ORDER BY priority DESC, created_ts, step_id
    LIMIT :limit
)
