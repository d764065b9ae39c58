INSERT INTO {schedules} (
    {schedule_names}, change_id
)
SELECT
    {schedule_values}, :change_id
FROM TABLE(FLATTEN(input => PARSE_JSON(:schedules))) AS schedule
