-- What an event makes of a step. A statement joins the events to the rows that they change, as
-- ``change``, with a column for whatever an event may say of a step.
SET
    {effects},
    last_update_ts = CURRENT_TIMESTAMP(),
    version = {step_tracker}.version + 1,
    change_id = :change_id,
    change_type = change.type,
    change_token = change.claim_token
