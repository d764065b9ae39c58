-- A new incarnation under a pod id that is known; the earlier one ends with it.
UPDATE {pod_health}
SET status = 'up', birth_ts = CURRENT_TIMESTAMP(), last_heartbeat_ts = CURRENT_TIMESTAMP(),
    incarnation = :incarnation, version = version + 1, change_id = :change_id,
    change_type = 'joined'
WHERE pod_id = :pod_id AND incarnation <> :incarnation
