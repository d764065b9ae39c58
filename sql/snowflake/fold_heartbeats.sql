-- Move the last heartbeats of the pods' incarnations to their rows.
UPDATE {pod_health}
SET last_heartbeat_ts = latest.heartbeat_ts
FROM (
    SELECT pod_id, incarnation, MAX(heartbeat_ts) AS heartbeat_ts
    FROM {pod_heartbeats}
    GROUP BY pod_id, incarnation
) AS latest
WHERE {pod_health}.pod_id = latest.pod_id AND {pod_health}.incarnation = latest.incarnation
    AND {pod_health}.last_heartbeat_ts < latest.heartbeat_ts
