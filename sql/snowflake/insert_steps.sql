-- Steps as the log has them.
INSERT INTO {step_tracker} (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
)
SELECT
    step.value[0]::VARCHAR, step.value[1]::VARCHAR, step.value[2]::NUMBER(38, 0),
    step.value[3]::VARCHAR, step.value[4]::NUMBER(38, 0), step.value[5]::NUMBER(38, 0),
    TO_TIMESTAMP_LTZ(step.value[6]::NUMBER(38, 0), 6),
    TO_TIMESTAMP_LTZ(step.value[7]::NUMBER(38, 0), 6),
    TO_TIMESTAMP_LTZ(step.value[8]::NUMBER(38, 0), 6), step.value[9]::VARCHAR,
    step.value[10]::VARCHAR, step.value[11]::VARCHAR, step.value[12]::VARCHAR,
    step.value[13]::VARCHAR, step.value[14]::VARCHAR, step.value[15]::NUMBER(38, 0)
FROM TABLE(FLATTEN(input => PARSE_JSON(:steps))) AS step
