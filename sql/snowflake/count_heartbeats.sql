SELECT COUNT(*) FROM {pod_heartbeats}
