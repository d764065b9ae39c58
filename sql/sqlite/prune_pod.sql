DELETE FROM pod_health
WHERE pod_id = :pod_id AND version = :version
