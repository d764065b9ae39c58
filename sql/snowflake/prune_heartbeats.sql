DELETE FROM {pod_heartbeats}
WHERE pod_id = :pod_id
