UPDATE step_tracker
SET status = ?2, retry_count = ?3, last_update_ts = ?4, available_ts = ?5, claimed_by = ?6,
    incarnation = ?7, claim_token = ?8, result = ?9, error = ?10, traceback = ?11, version = ?12,
    due = (?5 <= ?4)
WHERE step_id = ?1
