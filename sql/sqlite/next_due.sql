SELECT min(available_ts)
FROM step_tracker
WHERE status = 'pending' AND is_queued = 0 AND available_ts > :now
