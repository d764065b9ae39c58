DELETE FROM pod_health
