-- Append the events before the rows are updated.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, error)
SELECT step.step_id, step.version + 1, 'cancelled', :now, :pod_id, fallen.value
FROM json_each(:errors) AS fallen
CROSS JOIN step_tracker AS step ON step.step_id = fallen.key
WHERE +step.status = 'waiting'
