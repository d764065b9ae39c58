-- The steps that the earlier attempts of a change have changed.
SELECT {step_columns}
FROM {step_tracker} AS step
WHERE step.step_id IN (
    SELECT step_id
    FROM {step_events}
    WHERE change_id IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
    )
)
