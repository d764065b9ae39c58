-- Insert a heartbeat if the pod's incarnation has a status in which a heartbeat is no event.
INSERT INTO {pod_heartbeats} (pod_id, incarnation, heartbeat_ts)
SELECT pod_id, incarnation, CURRENT_TIMESTAMP()
FROM {pod_health}
WHERE pod_id = :pod_id AND incarnation = :incarnation
    AND status IN (
        SELECT value[0]::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
        WHERE value[2]::VARCHAR = ''
    )
