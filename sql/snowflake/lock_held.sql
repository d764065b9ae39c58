-- Lock the steps that a pod holds, so that the transaction sees them as they are: see
-- lock_submitted.sql.
UPDATE {step_tracker}
SET version = version
WHERE status = 'claimed' AND claimed_by = :pod_id
