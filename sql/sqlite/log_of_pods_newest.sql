-- Events of pods in the log, the latest first.
SELECT event.event_ts, event.pod_id, event.version, event.type, event.by_pod_id
FROM pod_events AS event
WHERE (event.event_ts, event.pod_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.pod_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.by_pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts DESC, event.pod_id DESC, event.version DESC
LIMIT :limit
