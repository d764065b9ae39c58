-- Declare silent pods dead, unless they have changed since they were observed: their version or
-- last heartbeat differs then.
UPDATE {pod_health}
SET status = change.becomes, version = {pod_health}.version + 1, change_id = :change_id,
    change_type = 'declared_dead'
FROM (
    SELECT
        silent.value[0]::VARCHAR AS pod_id, silent.value[1]::VARCHAR AS incarnation,
        silent.value[2]::NUMBER(38, 0) AS version,
        TO_TIMESTAMP_LTZ(silent.value[3]::NUMBER(38, 0), 6) AS last_heartbeat_ts,
        pair.value[0]::VARCHAR AS was, pair.value[1]::VARCHAR AS becomes
    FROM TABLE(FLATTEN(input => PARSE_JSON(:silent))) AS silent
    CROSS JOIN TABLE(FLATTEN(input => PARSE_JSON(:becomes))) AS pair
) AS change
WHERE {pod_health}.pod_id = change.pod_id AND {pod_health}.incarnation = change.incarnation
    AND {pod_health}.version = change.version AND {pod_health}.status = change.was
    AND {pod_health}.last_heartbeat_ts = change.last_heartbeat_ts
