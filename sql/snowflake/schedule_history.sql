SELECT {schedule_event_columns}
FROM {schedule_events}
WHERE schedule = :schedule
ORDER BY version
