SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND {{is_due}}
) OR EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0 AND available_ts <= :now
)
