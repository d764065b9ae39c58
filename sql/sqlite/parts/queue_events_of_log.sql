-- Events of queues that a page of the log may have, with what it shows of them.
SELECT event.event_ts, event.queue, event.version, event.type, event.changed_by, event.queue
FROM queue_events AS event
WHERE (event.event_ts, event.queue, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.queue, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR event.queue = :queue)
