SELECT step_id, version, event_ts, pod_id, data
FROM step_events
ORDER BY step_id, version
