-- Events of pods that a page of the log may have, with what it shows of them.
SELECT event.event_ts, event.pod_id, event.version, event.type, event.by_pod_id
FROM pod_events AS event
WHERE (event.event_ts, event.pod_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.pod_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.by_pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
