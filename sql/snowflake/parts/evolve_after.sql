-- Apply events to steps that follow from what the change did to others; see evolve.sql. They are a
-- change of their own, so that no row is changed twice in one.
SET
    {effects},
    last_update_ts = CURRENT_TIMESTAMP(),
    version = {step_tracker}.version + 1,
    change_id = :change_id || ' settled',
    change_type = change.type,
    change_token = NULL,
    changed_for = change.pod_id
