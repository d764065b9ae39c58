-- The same numbers of pending steps as in backlog.sql, by queue, of those that are :limited, and by key
-- of those that are :keyed.
SELECT
    queue, key, count(*), count(*) FILTER (WHERE is_due),
    min(max(created_ts, available_ts)) FILTER (WHERE is_due),
    min(available_ts) FILTER (WHERE NOT is_due)
FROM (
    SELECT
        queue, CASE WHEN queue IN (SELECT value FROM json_each(:keyed)) THEN key END AS key,
        created_ts, available_ts,
        {{is_due}} AS is_due
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND queue IN (SELECT value FROM json_each(:limited))
    UNION ALL
    SELECT
        queue, CASE WHEN queue IN (SELECT value FROM json_each(:keyed)) THEN key END,
        created_ts, available_ts,
        {{is_due}}
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
        AND queue IN (SELECT value FROM json_each(:limited))
)
GROUP BY queue, key
