INSERT INTO {pod_events} (pod_id, version, type, event_ts, by_pod_id, incarnation, change_id)
SELECT pod_id, version, :type, change_ts, :by_pod_id, incarnation, change_id
FROM {pod_health}
WHERE change_id = :change_id
