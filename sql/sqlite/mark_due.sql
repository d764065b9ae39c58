-- Queue the delayed steps of one queue and task type that are due by now.
UPDATE step_tracker
SET is_queued = 1
WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
    AND available_ts <= :now
