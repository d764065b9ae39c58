DELETE FROM {pod_health}
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))))
