INSERT INTO step_tracker (
    step_id, status, retry_count, created_ts, last_update_ts, version, is_queued,
    {submitted_names}
)
VALUES (
    :step_id, :status, 0, :created_ts, :created_ts, 1, :available_ts <= :created_ts,
    {submitted_values}
)
