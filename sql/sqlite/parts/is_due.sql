-- Whether a pending step may be claimed, by the rule of is_due in core/step.py.
(
    available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
)
