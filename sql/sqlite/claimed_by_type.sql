-- How many steps of each queue and task type are claimed, and the rowid of the last of them.
SELECT queue, task_type, count(*), max(rowid)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed'
GROUP BY queue, task_type
