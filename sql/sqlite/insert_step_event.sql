INSERT INTO step_events (step_id, version, type, event_ts, pod_id, data)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
