INSERT INTO {pod_health} (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, change_id, change_type
)
SELECT joining.pod_id, 'up', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), joining.incarnation, 1,
    :change_id, 'joined'
FROM (SELECT pod_id, incarnation FROM {{marked_requests}} WHERE joins) AS joining
WHERE NOT EXISTS (SELECT 1 FROM {pod_health} AS pod WHERE pod.pod_id = joining.pod_id)
