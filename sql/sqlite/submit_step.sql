INSERT INTO step_tracker (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, version, due
)
VALUES (?1, 'pending', ?2, ?3, 0, ?4, ?5, ?5, ?6, 1, ?6 <= ?5)
