-- All schedules, with the statuses of their last steps; one row without a schedule if there is none.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), step.status,
    {schedule_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN {schedules} AS schedule ON TRUE
LEFT JOIN {step_tracker} AS step ON step.step_id = schedule.last_step_id
ORDER BY schedule.schedule
