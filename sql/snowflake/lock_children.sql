-- Lock the waiting steps of which this change ended a parent: of two transactions that end parents of
-- one step, the second sees what the first did.
UPDATE {step_tracker}
SET version = version
WHERE status = 'waiting'
    AND step_id IN (
        SELECT parent.step_id
        FROM {{parents}} AS parent
        WHERE parent.parent_change_id = :change_id
    )
