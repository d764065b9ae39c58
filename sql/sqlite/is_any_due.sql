-- Whether a queued step of one queue and task type is due.
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
        AND {{is_due}}
)
