-- Lock a step whose last event saved this checkpoint: see lock_submitted.sql.
UPDATE {step_tracker}
SET version = version
WHERE step_id = :step_id AND status = 'claimed' AND claim_token = :claim_token
    AND version = :step_version + 1 AND checkpoint = :checkpoint
