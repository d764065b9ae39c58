-- Append the event of one step without options, quicker than reading it from its row.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, available_ts, priority, max_retries, task_type
)
VALUES (
    :step_id, 1, 'submitted', :created_ts, :pod_id,
    :payload, :available_ts, :priority, :max_retries, :task_type
)
