-- Record the number of pruned events in the log, for change_counter.sql, as an event without a step
-- that readers of the log skip. Its version is below the least version by the number of pruned
-- events minus one, for this event itself.
INSERT INTO {step_events} (step_id, version, type, event_ts, pod_id, change_id)
SELECT '', COALESCE(MIN(version), 1) - :events + 1, 'pruned', CURRENT_TIMESTAMP(), :pod_id,
    :change_id
FROM {step_events}
