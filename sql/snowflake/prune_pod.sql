DELETE FROM {pod_health}
WHERE pod_id = :pod_id AND incarnation = :incarnation AND version = :version
    AND last_heartbeat_ts = TO_TIMESTAMP_LTZ(:last_heartbeat_ts, 6)
