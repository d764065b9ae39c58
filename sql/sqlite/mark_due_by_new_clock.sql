-- After the clock was set back, mark retries that failed later than now as due. There is no index
-- for this, so it reads all delayed steps.
UPDATE step_tracker
SET due = 1
WHERE status = 'pending' AND due = 0 AND version > 1 AND last_update_ts > :now
