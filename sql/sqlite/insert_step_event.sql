INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id, claim_token, incarnation, payload, priority,
    max_retries, available_ts, result, error, traceback
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
