INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts
)
VALUES (?1, 1, 'submitted', ?5, ?7, ?3, ?2, ?4, ?6)
