DELETE FROM {pod_health}
USING {{pods_with_heartbeats}} AS pod
WHERE {pod_health}.pod_id = :pod_id AND {pod_health}.incarnation = :incarnation
    AND {pod_health}.version = :version AND pod.pod_id = :pod_id
    AND pod.last_heartbeat_ts = TO_TIMESTAMP_LTZ(:last_heartbeat_ts, 6)
