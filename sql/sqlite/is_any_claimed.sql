SELECT
    EXISTS (SELECT 1 FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed'),
    (SELECT min(next_ts) FROM schedules WHERE next_ts IS NOT NULL)
