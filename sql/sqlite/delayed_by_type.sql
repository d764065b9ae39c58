-- How many delayed steps each queue and task type has, how many of them are not due, and when the first
-- of the others became due.
SELECT
    queue, task_type, count(*), count(*) FILTER (WHERE available_ts > :now),
    min(available_ts) FILTER (WHERE available_ts <= :now)
FROM step_tracker INDEXED BY step_tracker_delayed
WHERE status = 'pending' AND is_queued = 0
GROUP BY queue, task_type
