DELETE FROM {step_tracker}
USING (
    SELECT value[0]::VARCHAR AS step_id, value[1]::NUMBER(38, 0) AS version
    FROM TABLE(FLATTEN(input => PARSE_JSON(:ended)))
) AS ended
WHERE {step_tracker}.step_id = ended.step_id AND {step_tracker}.version = ended.version
    AND {step_tracker}.last_update_ts <= TO_TIMESTAMP_LTZ(:before, 6)
    AND {step_tracker}.step_id NOT IN {{needed_parents}}
