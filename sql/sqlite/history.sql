SELECT step_id, version, event_ts, pod_id, data
FROM step_events
WHERE step_id = :step_id
ORDER BY version
