SELECT pod_id, version, event_ts, by_pod_id, data
FROM pod_events
ORDER BY pod_id, version
