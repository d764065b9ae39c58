-- Write what the function of a claimed step reports.
UPDATE step_tracker
SET progress = :progress
WHERE step_id = :step_id AND status = 'claimed' AND claim_token = :claim_token
