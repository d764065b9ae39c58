SELECT {step_event_columns}
FROM {step_events}
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
ORDER BY step_id, version
