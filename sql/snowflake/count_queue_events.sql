SELECT COUNT(*)
FROM {queue_events}
WHERE queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:names))))
