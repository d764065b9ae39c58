-- What a pod, or somebody about it, says; ``becomes`` pairs the statuses in which it may be said
-- with what they become.
UPDATE {pod_health}
SET
    status = change.becomes,
    last_heartbeat_ts = CASE WHEN :is_sign_of_life THEN CURRENT_TIMESTAMP() ELSE {pod_health}.last_heartbeat_ts END,
    version = {pod_health}.version + 1,
    change_id = :change_id,
    change_ts = CURRENT_TIMESTAMP()
FROM (
    SELECT value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes
    FROM TABLE(FLATTEN(input => PARSE_JSON(:becomes)))
) AS change
WHERE {pod_health}.status = change.was AND {pod_health}.pod_id = :pod_id AND {pod_health}.incarnation = :incarnation
