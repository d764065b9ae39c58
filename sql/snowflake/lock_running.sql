-- Lock the claimed steps of queues with limits, so that the transaction sees them all: see
-- lock_limits.sql.
UPDATE {step_tracker}
SET version = version
WHERE status = 'claimed' AND queue IN (SELECT queue FROM {queues} WHERE {{has_limits}})
