-- A row that is there keeps its place: rows are stored in the order of their age.
INSERT INTO step_tracker (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, due
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?9 <= ?8)
ON CONFLICT (step_id) DO UPDATE
SET status = ?2, priority = ?3, payload = ?4, retry_count = ?5, max_retries = ?6, created_ts = ?7,
    last_update_ts = ?8, available_ts = ?9, claimed_by = ?10, incarnation = ?11, claim_token = ?12,
    result = ?13, error = ?14, traceback = ?15, version = ?16, due = ?9 <= ?8
