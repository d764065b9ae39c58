-- Append the events before the rows are updated.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id)
SELECT step.step_id, step.version + 1, 'restored', :now, :pod_id
FROM json_each(:step_ids) AS restored
CROSS JOIN step_tracker AS step ON step.step_id = restored.value
WHERE +step.status = 'cancelled'
