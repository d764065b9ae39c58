INSERT INTO {schedule_events} (
    {schedule_event_names}, change_id
)
SELECT
    {schedule_event_values}, :change_id
FROM TABLE(FLATTEN(input => PARSE_JSON(:events))) AS schedule_event
