UPDATE step_tracker
SET status = ?2, retry_count = ?3, last_update_ts = ?4, available_ts = ?5, claimed_by = ?6,
    incarnation = ?7, claim_token = ?8, error = ?9, traceback = ?10, version = ?11,
    due = (?5 <= ?4)
WHERE step_id = ?1
