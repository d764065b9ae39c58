SELECT pod_id, version, type, DATE_PART(epoch_microsecond, event_ts), by_pod_id, incarnation
FROM {pod_events}
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))))
ORDER BY pod_id, version
