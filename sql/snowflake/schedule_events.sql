SELECT {schedule_event_columns}
FROM {schedule_events}
ORDER BY schedule, version
