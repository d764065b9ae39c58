-- The pairs of queue and task type that have delayed steps. Two entries of the
-- index are read for each pair, however many steps it has.
WITH RECURSIVE pair(queue, task_type) AS (
    SELECT queue, task_type
    FROM (
        SELECT queue, task_type
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
        ORDER BY queue, task_type
        LIMIT 1
    )
    UNION ALL
    SELECT after.queue, after.task_type
    FROM pair
    JOIN step_tracker AS after ON after.rowid = ifnull(
        (
            SELECT rowid
            FROM step_tracker INDEXED BY step_tracker_delayed
            WHERE status = 'pending' AND is_queued = 0 AND queue = pair.queue
                AND task_type > pair.task_type
            ORDER BY task_type
            LIMIT 1
        ),
        (
            SELECT rowid
            FROM step_tracker INDEXED BY step_tracker_delayed
            WHERE status = 'pending' AND is_queued = 0 AND queue > pair.queue
            ORDER BY queue, task_type
            LIMIT 1
        )
    )
)
SELECT queue, task_type FROM pair
