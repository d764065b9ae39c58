SELECT {step_columns}
FROM {step_tracker} AS step
JOIN (
    SELECT value::VARCHAR AS step_id
    FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
) AS wanted ON step.step_id = wanted.step_id
