INSERT INTO {pod_health} (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, change_id, change_type
)
SELECT :pod_id, 'up', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), :incarnation, 1, :change_id,
    'joined'
WHERE NOT EXISTS (SELECT 1 FROM {pod_health} WHERE pod_id = :pod_id)
