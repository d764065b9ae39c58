-- Apply events to steps that wait for children from now on; see evolve_after.sql.
SET
    {effects},
    last_update_ts = CURRENT_TIMESTAMP(),
    version = {step_tracker}.version + 1,
    change_id = :change_id || ' spawned',
    change_type = change.type,
    change_token = NULL,
    changed_for = change.pod_id
