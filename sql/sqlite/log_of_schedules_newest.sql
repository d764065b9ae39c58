-- Events of schedules in the log, the latest first.
SELECT event.event_ts, event.schedule, event.version, event.type, event.changed_by
FROM schedule_events AS event
WHERE (event.event_ts, event.schedule, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.schedule, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts DESC, event.schedule DESC, event.version DESC
LIMIT :limit
