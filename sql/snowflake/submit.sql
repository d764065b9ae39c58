-- New steps; those whose id is taken are passed over.
INSERT INTO {step_tracker} (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, version, change_id, change_type
)
SELECT
    new.value:step_id::VARCHAR, 'pending', new.value:priority::NUMBER(38, 0),
    new.value:payload::VARCHAR, 0, new.value:max_retries::NUMBER(38, 0), CURRENT_TIMESTAMP(),
    CURRENT_TIMESTAMP(),
    CASE
        WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
        ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
    END,
    1, :change_id, 'submitted'
FROM TABLE(FLATTEN(input => PARSE_JSON(:new))) AS new
WHERE NOT EXISTS (
    SELECT 1
    FROM {step_tracker} AS known
    WHERE known.step_id = new.value:step_id::VARCHAR
)
