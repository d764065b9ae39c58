INSERT INTO {queues} (
    {queue_names}, change_id, change_type
)
SELECT
    {queue_values}, :change_id, 'rebuilt'
FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))) AS queue
