-- The steps that are not final by queue, and by key if the queue has a limit per key: how many are
-- claimed, pending and due, since when the due one waits that has waited longest, and when the next one
-- becomes due; and the limits of the queue, if it has a row. In every row, how many rows the inbox has.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), (SELECT COUNT(*) FROM {step_inbox}),
    step.claimed, step.queue, step.key, step.pending, step.due,
    DATE_PART(epoch_microsecond, step.oldest), DATE_PART(epoch_microsecond, step.next_due),
    {queue_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT
        queue, key, COUNT(CASE WHEN status = 'claimed' THEN 1 END) AS claimed,
        COUNT(CASE WHEN status = 'pending' THEN 1 END) AS pending,
        COUNT(CASE WHEN is_due THEN 1 END) AS due,
        MIN(CASE WHEN is_due THEN GREATEST(created_ts, available_ts) END) AS oldest,
        MIN(CASE WHEN status = 'pending' AND NOT is_due THEN available_ts END) AS next_due
    FROM (
        SELECT
            queue, status, created_ts, available_ts,
            CASE
                WHEN queue IN (SELECT queue FROM {queues} WHERE max_running_per_key IS NOT NULL)
                    THEN key
            END AS key,
            status = 'pending' AND {{is_due}} AS is_due
        FROM {step_tracker}
        WHERE status IN ('pending', 'claimed')
    ) AS row_of_step
    GROUP BY queue, key
) AS step ON TRUE
LEFT JOIN {queues} AS queue ON queue.queue = step.queue
