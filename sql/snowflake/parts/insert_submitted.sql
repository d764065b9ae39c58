-- Insert the steps of submissions; a condition says of which.
INSERT INTO {step_tracker} (
    step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
    change_type, changed_for,
    {submitted_names}
)
SELECT
    new.value:step_id::VARCHAR,
    CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
    0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
    new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
    {submitted_values with
        available_ts = CASE
            WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
            ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
        END;
        unique_until_ts = DATEADD(
            microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
        );
        start_by_ts = DATEADD(
            microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
        )
    }
FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
