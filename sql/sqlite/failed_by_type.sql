-- How many dead letters each queue and task type has, how many of them failed since :since, and when
-- the first of these did.
SELECT
    queue, task_type, count(*), count(*) FILTER (WHERE last_update_ts >= :since),
    min(last_update_ts) FILTER (WHERE last_update_ts >= :since)
FROM step_tracker INDEXED BY step_tracker_failed
WHERE status = 'failed'
GROUP BY queue, task_type
