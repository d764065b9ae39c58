-- The steps that exist under the ids of these submissions.
SELECT {step_columns}
FROM {step_tracker} AS step
WHERE step.step_id IN (
    SELECT value:step_id::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
)
