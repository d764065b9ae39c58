SELECT COUNT(*)
FROM {pod_events}
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))))
