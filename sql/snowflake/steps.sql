SELECT {step_columns}
FROM {step_tracker} AS step
JOIN TABLE(FLATTEN(input => PARSE_JSON(:step_ids))) AS wanted
    ON step.step_id = wanted.value::VARCHAR
