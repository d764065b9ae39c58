-- The queues whose limits concern a claim now, since they have steps that wait.
SELECT {queue_columns}
FROM queues
WHERE {{has_limits}}
    AND EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1 AND step_tracker.queue = queues.queue
    )
