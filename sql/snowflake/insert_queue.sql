-- Set the limits of a queue that has no row yet.
INSERT INTO {queues} (
    {queue_names}, change_id, change_type, changed_by
)
SELECT
    :queue, :max_running, :max_running_per_key, :rate_count, :rate_period, :paused, :tokens,
    CASE WHEN :rate_count IS NULL THEN TO_TIMESTAMP_LTZ(0, 6) ELSE CURRENT_TIMESTAMP() END,
    :new_version, CURRENT_TIMESTAMP(), :change_id, :event_type, :changed_by
WHERE NOT EXISTS (SELECT 1 FROM {queues} WHERE queue = :queue)
