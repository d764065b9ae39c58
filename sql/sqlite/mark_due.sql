UPDATE step_tracker
SET is_queued = 1
WHERE status = 'pending' AND is_queued = 0 AND available_ts <= :now
