-- Submit a step without options, which most are: every column that is named takes time.
INSERT INTO step_tracker (
    step_id, status, retry_count, created_ts, last_update_ts, version, is_queued,
    payload, available_ts, priority, max_retries, task_type
)
VALUES (
    :step_id, 'pending', 0, :created_ts, :created_ts, 1, :available_ts <= :created_ts,
    :payload, :available_ts, :priority, :max_retries, :task_type
)
