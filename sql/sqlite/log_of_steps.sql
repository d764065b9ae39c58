-- Events of steps in the log, the oldest first.
{{step_events_of_log}}
ORDER BY event.event_ts, event.step_id, event.version
LIMIT :limit
