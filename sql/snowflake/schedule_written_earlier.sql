-- Whether the row of a schedule was written by an earlier call, whose answer was lost.
SELECT COUNT(*)
FROM {schedules}
WHERE schedule = :schedule
    AND change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier))))
