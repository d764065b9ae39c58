UPDATE step_tracker
SET status = 'claimed', last_update_ts = ?2, claimed_by = ?3, incarnation = ?4, claim_token = ?5,
    version = ?6
WHERE step_id = ?1
