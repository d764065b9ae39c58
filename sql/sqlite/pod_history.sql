SELECT pod_id, version, type, event_ts, by_pod_id, incarnation
FROM pod_events
WHERE pod_id = :pod_id
ORDER BY version
