-- After the clock was set back, mark retries that failed later than now as due. There is no index
-- for this, so it reads all delayed steps.
UPDATE step_tracker
SET is_queued = 1
WHERE status = 'pending' AND is_queued = 0 AND retry_count > 0 AND last_update_ts > :now
