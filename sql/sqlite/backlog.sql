-- How many steps are claimed, and how many rows the inbox has; and of the pending steps of queues that
-- are not :limited, how many there are, how many are due, since when the one waits that has waited
-- longest, and when the next one becomes due.
SELECT
    (SELECT count(*) FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed'),
    (SELECT count(*) FROM step_inbox),
    count(*), count(*) FILTER (WHERE is_due),
    min(max(created_ts, available_ts)) FILTER (WHERE is_due),
    min(available_ts) FILTER (WHERE NOT is_due)
FROM (
    SELECT
        created_ts, available_ts,
        {{is_due}} AS is_due
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND (:limited = '[]' OR queue NOT IN (SELECT value FROM json_each(:limited)))
    UNION ALL
    SELECT
        created_ts, available_ts,
        {{is_due}}
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
        AND (:limited = '[]' OR queue NOT IN (SELECT value FROM json_each(:limited)))
)
