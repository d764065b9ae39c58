INSERT INTO step_tracker (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, due
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?9 <= ?8)
