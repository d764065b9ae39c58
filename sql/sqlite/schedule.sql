SELECT {schedule_columns}
FROM schedules
WHERE schedule = :schedule
