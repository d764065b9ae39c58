-- Whether a delayed step of one queue and task type is due by now.
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
        AND available_ts <= :now
)
