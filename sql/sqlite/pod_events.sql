SELECT pod_id, version, type, event_ts, by_pod_id, incarnation
FROM pod_events
ORDER BY pod_id, version
