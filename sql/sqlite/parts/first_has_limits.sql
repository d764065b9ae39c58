-- Whether the first queue of which steps wait has limits.
EXISTS (
    SELECT 1
    FROM queues
    WHERE {{has_limits}}
        AND +queue = (
            SELECT queue
            FROM step_tracker INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1
            ORDER BY queue
            LIMIT 1
        )
)
