DELETE FROM pod_events
WHERE pod_id = :pod_id
