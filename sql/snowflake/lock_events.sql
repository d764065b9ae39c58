-- Lock the events of these steps, and count them. A query might not see the last ones yet.
UPDATE {step_events}
SET version = version
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
