-- The steps of each queue, task type and status, and whether the queue is paused: how many they are,
-- how many are not due, since when the due one waits that has waited longest, how many have been in
-- this status since the window began, and since when the first of these. In every row, how many rows the
-- inbox has.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), (SELECT COUNT(*) FROM {step_inbox}),
    step.queue, step.task_type, step.status, step.number, step.delayed,
    DATE_PART(epoch_microsecond, step.oldest), step.recent,
    DATE_PART(epoch_microsecond, step.first_recent),
    COALESCE(queue.paused, FALSE)
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT
        queue, task_type, status, COUNT(*) AS number,
        COUNT(CASE WHEN status = 'pending' AND NOT is_due THEN 1 END) AS delayed,
        MIN(
            CASE WHEN status = 'pending' AND is_due THEN GREATEST(created_ts, available_ts) END
        ) AS oldest,
        COUNT(CASE WHEN is_recent THEN 1 END) AS recent,
        MIN(CASE WHEN is_recent THEN last_update_ts END) AS first_recent
    FROM (
        SELECT
            queue, task_type, status, created_ts, available_ts, last_update_ts,
            {{is_due}} AS is_due,
            last_update_ts >= DATEADD(microsecond, -:window, CURRENT_TIMESTAMP()) AS is_recent
        FROM {step_tracker}
    ) AS row_of_step
    GROUP BY queue, task_type, status
) AS step ON TRUE
LEFT JOIN {queues} AS queue ON queue.queue = step.queue
