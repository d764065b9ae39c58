SELECT min(next_ts)
FROM schedules
WHERE next_ts IS NOT NULL
