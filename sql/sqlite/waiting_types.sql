-- The queues and task types of which steps wait, with a key or without one, and whether the queue has
-- limits. Reads a few entries of the index for each, however many steps wait.
WITH RECURSIVE waiting (queue, task_type, is_keyless) AS (
    SELECT *
    FROM (
        SELECT queue, task_type, key IS NULL
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    )
    UNION ALL
    SELECT next.value ->> 0, next.value ->> 1, next.value ->> 2
    FROM waiting
    JOIN json_each(json_array(coalesce(
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue = waiting.queue
                AND step.task_type = waiting.task_type AND (step.key IS NULL) > waiting.is_keyless
            LIMIT 1
        ),
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue = waiting.queue
                AND step.task_type > waiting.task_type
            ORDER BY step.task_type, step.key IS NULL
            LIMIT 1
        ),
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue > waiting.queue
            ORDER BY step.queue, step.task_type, step.key IS NULL
            LIMIT 1
        )
    ))) AS next
    WHERE next.value IS NOT NULL
)
SELECT queue, task_type, is_keyless, EXISTS (
    SELECT 1
    FROM queues
    WHERE queues.queue = waiting.queue AND {{has_limits}}
)
FROM waiting
