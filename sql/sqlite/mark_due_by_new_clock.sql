-- After the clock was set back: the retries that failed later than now. No index has them, so this
-- reads all that wait for their time.
UPDATE step_tracker
SET due = 1
WHERE status = 'pending' AND due = 0 AND version > 1 AND last_update_ts > :now
