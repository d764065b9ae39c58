-- Replace the pending steps that accepted submissions name, as the event Replaced does.
UPDATE {step_tracker}
SET
    {replaced_changes},
    checkpoint = NULL,
    last_update_ts = CURRENT_TIMESTAMP(),
    version = {step_tracker}.version + 1,
    change_id = change.submission_id,
    change_type = 'replaced',
    change_token = NULL,
    changed_for = change.pod_id
FROM (
    SELECT
        value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id,
        value:replaces::NUMBER(38, 0) AS replaces, value:pod_id::VARCHAR AS pod_id,
        {replaced_values with
            available_ts = CASE
                WHEN value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                ELSE DATEADD(microsecond, value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
            END;
            start_by_ts = DATEADD(
                microsecond, value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
            )
        }
    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.replaces
    AND change.submission_id IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
    )
