-- Declare silent pods dead, unless they have changed since they were observed: their version or
-- last heartbeat differs then.
UPDATE {pod_health}
SET status = change.becomes, version = {pod_health}.version + 1, change_id = :change_id,
    change_type = 'declared_dead'
FROM (
    SELECT pod.pod_id, pod.incarnation, pod.version, pair.becomes
    FROM (
        SELECT
            value[0]::VARCHAR AS pod_id, value[1]::VARCHAR AS incarnation,
            value[2]::NUMBER(38, 0) AS version,
            TO_TIMESTAMP_LTZ(value[3]::NUMBER(38, 0), 6) AS last_heartbeat_ts
        FROM TABLE(FLATTEN(input => PARSE_JSON(:silent)))
    ) AS observed
    JOIN {{pods_with_heartbeats}} AS pod
        ON pod.pod_id = observed.pod_id AND pod.incarnation = observed.incarnation
            AND pod.version = observed.version
            AND pod.last_heartbeat_ts = observed.last_heartbeat_ts
    JOIN (
        SELECT value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes
        FROM TABLE(FLATTEN(input => PARSE_JSON(:becomes)))
    ) AS pair ON pair.was = pod.status
) AS change
WHERE {pod_health}.pod_id = change.pod_id AND {pod_health}.incarnation = change.incarnation
    AND {pod_health}.version = change.version
