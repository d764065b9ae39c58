-- The first and the last pair of queue and task type that have queued steps, as JSON arrays, and
-- whether there is a delayed step.
SELECT
    (
        SELECT json_array(queue, task_type)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type
        LIMIT 1
    ),
    (
        SELECT json_array(queue, task_type)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue DESC, task_type DESC
        LIMIT 1
    ),
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
    )
