-- Make dead letters of the steps that hold invalid rows of the inbox.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step.step_id, step.version, :pod_id AS pod_id, 'rejected' AS type,
        {event_values with
            error = rejection.error;
            available_ts = TO_TIMESTAMP_LTZ(0, 6)
        }
    FROM {step_tracker} AS step
    JOIN (
        SELECT value:step_id::VARCHAR AS step_id, value:error::VARCHAR AS error
        FROM TABLE(FLATTEN(input => PARSE_JSON(:rejections)))
    ) AS rejection ON step.step_id = rejection.step_id
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
