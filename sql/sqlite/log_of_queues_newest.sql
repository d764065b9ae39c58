-- Events of queues in the log, the latest first.
SELECT event.event_ts, event.queue, event.version, event.type, event.changed_by, event.queue
FROM queue_events AS event
WHERE (event.event_ts, event.queue, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.queue, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR event.queue = :queue)
ORDER BY event.event_ts DESC, event.queue DESC, event.version DESC
LIMIT :limit
