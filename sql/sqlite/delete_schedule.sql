DELETE FROM schedules
WHERE schedule = :schedule
