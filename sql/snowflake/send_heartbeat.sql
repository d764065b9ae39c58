-- Insert a heartbeat if the pod's incarnation has a status in which a heartbeat is no event. It is
-- later than the pod's last one, also after the clock was set back: the leader sees by the change
-- that the pod lives.
INSERT INTO {pod_heartbeats} (pod_id, incarnation, heartbeat_ts)
SELECT pod_id, incarnation,
    GREATEST(CURRENT_TIMESTAMP(), DATEADD(microsecond, 1, last_heartbeat_ts))
FROM {{pods_with_heartbeats}} AS pod
WHERE pod_id = :pod_id AND incarnation = :incarnation
    AND status IN (
        SELECT value[0]::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
        WHERE value[2]::VARCHAR = ''
    )
