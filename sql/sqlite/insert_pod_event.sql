INSERT INTO pod_events (pod_id, version, type, event_ts, by_pod_id, incarnation)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
