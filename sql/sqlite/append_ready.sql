-- Append the events before the rows are updated. The plus signs stop SQLite from scanning all waiting
-- steps.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id)
SELECT step.step_id, step.version + 1, 'ready', :now, :pod_id
FROM json_each(:step_ids) AS ready
CROSS JOIN step_tracker AS step ON step.step_id = ready.value
WHERE +step.status = 'waiting'
