-- Append the events of the last :count steps that this connection inserted; their rowids are
-- consecutive.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    {submitted_names}
)
SELECT
    step_id, version, 'submitted', created_ts, :pod_id,
    {submitted_names}
FROM step_tracker
WHERE rowid > last_insert_rowid() - :count
