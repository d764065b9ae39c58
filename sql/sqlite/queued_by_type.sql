-- How many steps of each queue and task type are queued, when the oldest of them was submitted and
-- from when on it may be claimed, and its rowid. The entries of the index are enough to count.
SELECT oldest.queue, oldest.task_type, number, step.created_ts, step.available_ts, place
FROM (
    SELECT queue, task_type, count(*) AS number, min(created_ts), rowid AS place
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
    GROUP BY queue, task_type
) AS oldest
JOIN step_tracker AS step ON step.rowid = place
