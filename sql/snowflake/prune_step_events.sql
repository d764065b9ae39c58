DELETE FROM {step_events}
WHERE step_id IN (SELECT value[0]::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:ended))))
