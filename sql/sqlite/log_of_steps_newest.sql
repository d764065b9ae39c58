-- Events of steps in the log, the latest first.
{{step_events_of_log}}
ORDER BY event.event_ts DESC, event.step_id DESC, event.version DESC
LIMIT :limit
