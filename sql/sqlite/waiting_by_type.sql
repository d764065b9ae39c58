-- How many steps of each queue and task type wait for others.
SELECT queue, task_type, count(*)
FROM step_tracker INDEXED BY step_tracker_with_parents
WHERE parents IS NOT NULL AND status IN ('pending', 'waiting', 'claimed') AND status = 'waiting'
GROUP BY queue, task_type
