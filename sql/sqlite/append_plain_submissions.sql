-- Append the events of the last :count steps that this connection inserted, if they have no options.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, available_ts, priority, max_retries, task_type
)
SELECT
    step_id, version, 'submitted', created_ts, :pod_id,
    payload, available_ts, priority, max_retries, task_type
FROM step_tracker
WHERE rowid > last_insert_rowid() - :count
