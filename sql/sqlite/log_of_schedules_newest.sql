-- Events of schedules in the log, the latest first.
{{schedule_events_of_log}}
ORDER BY event.event_ts DESC, event.schedule DESC, event.version DESC
LIMIT :limit
