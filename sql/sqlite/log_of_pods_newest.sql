-- Events of pods in the log, the latest first.
{{pod_events_of_log}}
ORDER BY event.event_ts DESC, event.pod_id DESC, event.version DESC
LIMIT :limit
