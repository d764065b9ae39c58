-- The steps that are not final, as one row: how many are pending, claimable and claimed, since when
-- the oldest claimable one has waited, and when the next one becomes due. Rows of the inbox count as
-- steps that are due now.
SELECT
    count(*) + (SELECT count(*) FROM step_inbox),
    count(*) FILTER (WHERE is_due) + (SELECT count(*) FROM step_inbox),
    (SELECT count(*) FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed'),
    coalesce(
        min(max(created_ts, available_ts)) FILTER (WHERE is_due),
        (SELECT :now FROM step_inbox LIMIT 1)
    ),
    min(available_ts) FILTER (WHERE NOT is_due)
FROM (
    SELECT
        created_ts, available_ts,
        {{is_due}} AS is_due
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
    UNION ALL
    SELECT
        created_ts, available_ts,
        {{is_due}}
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
)
