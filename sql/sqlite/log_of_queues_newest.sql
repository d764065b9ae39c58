-- Events of queues in the log, the latest first.
{{queue_events_of_log}}
ORDER BY event.event_ts DESC, event.queue DESC, event.version DESC
LIMIT :limit
