-- Let a change of limits wait for the claims that are under way.
UPDATE {step_tracker}
SET version = version
WHERE status = 'pending' AND queue = :queue
