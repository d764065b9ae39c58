-- The last queue and task type of which steps wait, and whether they have no key, as a JSON array.
(
    SELECT json_array(queue, task_type, key IS NULL)
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
    ORDER BY queue DESC, task_type DESC, key IS NULL DESC
    LIMIT 1
)
