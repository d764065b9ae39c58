INSERT OR REPLACE INTO orphans
    (step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
