-- Events of schedules in the log, the oldest first.
{{schedule_events_of_log}}
ORDER BY event.event_ts, event.schedule, event.version
LIMIT :limit
