-- Lock the events of these pods, and count them. A query might not see the last ones yet.
UPDATE {pod_events}
SET version = version
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))))
