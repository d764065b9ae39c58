-- The steps that have expired, by the rule of is_expired in core/step.py.
FROM step_tracker INDEXED BY step_tracker_start_by
WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
    AND snoozes = 0 AND start_by_ts < :now
