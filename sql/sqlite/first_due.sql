-- The rowids of the first steps of the queue, as one JSON value, and whether a claim may take all
-- of them: no prefetched one is on its last try, and the sum of their payloads is not too large.
SELECT
    json_group_array(id),
    (count(*) < 2 OR total(size) <= :most_bytes)
        AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0)
FROM (
    SELECT rowid AS id, length(CAST(payload AS BLOB)) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND {{is_due}}
    ORDER BY priority DESC, created_ts, step_id
    LIMIT :limit
)
