-- Delete heartbeats that are not later than the last one in the pod's row, or of an incarnation
-- that has ended.
DELETE FROM {pod_heartbeats}
USING (SELECT pod_id, incarnation, last_heartbeat_ts FROM {pod_health}) AS pod
WHERE {pod_heartbeats}.pod_id = pod.pod_id
    AND (
        {pod_heartbeats}.incarnation <> pod.incarnation
        OR {pod_heartbeats}.heartbeat_ts <= pod.last_heartbeat_ts
    )
