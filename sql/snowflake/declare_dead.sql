UPDATE {pod_health}
SET status = change.becomes, version = {pod_health}.version + 1, change_id = :change_id,
    change_ts = CURRENT_TIMESTAMP()
FROM (
    SELECT value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes
    FROM TABLE(FLATTEN(input => PARSE_JSON(:becomes)))
) AS change
WHERE {pod_health}.status = change.was
    AND {pod_health}.last_heartbeat_ts <= DATEADD(microsecond, -:dead_after, CURRENT_TIMESTAMP())
