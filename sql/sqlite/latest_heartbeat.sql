SELECT coalesce(max(last_heartbeat_ts), 0) FROM pod_health
