-- The pods, each with the last heartbeat of its incarnation.
(
    SELECT
        {pod_names with
            last_heartbeat_ts = GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts
        }
    FROM {pod_health}
    LEFT JOIN (
        SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
        FROM {pod_heartbeats}
        GROUP BY pod_id, incarnation
    ) AS latest ON sender_id = pod_id AND sent_by = incarnation
)
