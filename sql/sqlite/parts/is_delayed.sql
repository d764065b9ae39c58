-- Whether there is a delayed step.
EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
)
