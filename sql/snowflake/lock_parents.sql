-- Lock the parents of the steps of submissions: see lock_submitted.sql.
UPDATE {step_tracker}
SET version = version
WHERE step_id IN (SELECT submitted.parent_id FROM {{submitted_parents}} AS submitted)
