-- Start a new incarnation of an existing pod id, which ends the earlier one.
UPDATE {pod_health}
SET status = 'up', birth_ts = CURRENT_TIMESTAMP(), last_heartbeat_ts = CURRENT_TIMESTAMP(),
    incarnation = :incarnation, version = version + 1, change_id = :change_id,
    change_type = 'joined'
WHERE pod_id = :pod_id AND incarnation <> :incarnation
