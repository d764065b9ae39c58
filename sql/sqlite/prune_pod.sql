DELETE FROM pod_health
WHERE pod_id = :pod_id AND incarnation = :incarnation AND version = :version
    AND last_heartbeat_ts = :last_heartbeat_ts
