-- Let the change counter change, so that pods that wait for the queue look again: an event without
-- a step, which readers of the log skip. It does not change the least version.
INSERT INTO {step_events} (step_id, version, type, event_ts, pod_id, change_id)
SELECT '', 1, 'queue', CURRENT_TIMESTAMP(), NULL, :change_id
