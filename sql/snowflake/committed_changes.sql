-- Those of these changes, of calls that write events, that were committed.
SELECT change_id
FROM {step_events}
WHERE change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:change_ids))))
UNION
SELECT change_id
FROM {pod_events}
WHERE change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:change_ids))))
