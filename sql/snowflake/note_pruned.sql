-- What the log says of what it has lost: a line of no step, which is passed over when the log is
-- read. Its version is lower than any by the number of events that were pruned, but for its own.
INSERT INTO {step_events} (step_id, version, type, event_ts, pod_id, change_id)
SELECT '', COALESCE(MIN(version), 1) - :events + 1, 'pruned', CURRENT_TIMESTAMP(), :pod_id,
    :change_id
FROM {step_events}
