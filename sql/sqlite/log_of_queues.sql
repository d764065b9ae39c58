-- Events of queues in the log, the oldest first.
{{queue_events_of_log}}
ORDER BY event.event_ts, event.queue, event.version
LIMIT :limit
