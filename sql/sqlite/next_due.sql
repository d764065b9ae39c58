SELECT min(available_ts)
FROM step_tracker
WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
    AND available_ts > :now
