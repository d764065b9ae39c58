SELECT {schedule_columns}
FROM schedules
ORDER BY schedule
