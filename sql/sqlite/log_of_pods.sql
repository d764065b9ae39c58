-- Events of pods in the log, the oldest first.
{{pod_events_of_log}}
ORDER BY event.event_ts, event.pod_id, event.version
LIMIT :limit
