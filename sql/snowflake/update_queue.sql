-- Set the limits of a queue, if it still has the version before this one.
UPDATE {queues}
SET
    max_running = :max_running,
    max_running_per_key = :max_running_per_key,
    tokens = CASE WHEN :begins_rate THEN :tokens ELSE tokens END,
    refilled_ts = CASE WHEN :begins_rate THEN CURRENT_TIMESTAMP() ELSE refilled_ts END,
    rate_count = :rate_count,
    rate_period = :rate_period,
    paused = :paused,
    version = :new_version,
    last_update_ts = CURRENT_TIMESTAMP(),
    change_id = :change_id,
    change_type = :event_type,
    changed_by = :changed_by
WHERE queue = :queue AND version = :new_version - 1
