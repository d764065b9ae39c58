-- Events derived from the rows that a change wrote.
INSERT INTO {step_events} (
    step_id, version, type, event_ts, pod_id, change_id,
    {fact_names}
)
SELECT
    step_id, version, change_type, last_update_ts, changed_for, change_id,
    {fact_values with claim_token = change_token}
FROM {step_tracker}
