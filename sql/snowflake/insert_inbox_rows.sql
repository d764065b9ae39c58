-- Insert rows into the inbox. :rows has one object for each.
INSERT INTO {step_inbox} (
    payload, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay, step_id,
    max_retries, timeout
)
SELECT
    value:payload::VARCHAR, value:queue::VARCHAR, value:priority::NUMBER(38, 0),
    value:key::VARCHAR, value:unique_key::VARCHAR, value:unique_for::FLOAT,
    value:on_conflict::VARCHAR, value:labels::VARCHAR, value:delay::FLOAT, value:step_id::VARCHAR,
    value:max_retries::NUMBER(38, 0), value:timeout::FLOAT
FROM TABLE(FLATTEN(input => PARSE_JSON(:rows)))
ORDER BY index
