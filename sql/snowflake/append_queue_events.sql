-- Append the events of one change, derived from the rows that it changed.
INSERT INTO {queue_events} (
    {queue_event_names}, change_id
)
SELECT
    queue, version, change_type, last_update_ts, changed_by, max_running, max_running_per_key,
    rate_count, rate_period, paused, change_id
FROM {queues}
WHERE change_id = :change_id
