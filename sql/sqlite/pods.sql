SELECT pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version
FROM pod_health
ORDER BY pod_id
