-- Apply events to steps. The statement that includes this provides the events as ``change``, joined
-- to the rows that they change, with the acting pod, and a column for each value that an event may
-- set.
SET
    {effects},
    last_update_ts = CURRENT_TIMESTAMP(),
    version = {step_tracker}.version + 1,
    change_id = :change_id,
    change_type = change.type,
    change_token = change.claim_token,
    changed_for = change.pod_id
