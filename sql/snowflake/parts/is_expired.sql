-- Whether a step has expired that waits, by the rule of is_expired in core/step.py.
(
    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
    AND COALESCE(snoozes, 0) = 0
)
