-- Start new incarnations of existing pod ids, which ends the earlier ones.
UPDATE {pod_health}
SET status = 'up', birth_ts = CURRENT_TIMESTAMP(), last_heartbeat_ts = CURRENT_TIMESTAMP(),
    incarnation = joining.incarnation, version = {pod_health}.version + 1, change_id = :change_id,
    change_type = 'joined', description = joining.description
FROM (
    SELECT
        pod_id, incarnation,
        GET_PATH(PARSE_JSON(CASE WHEN joins THEN request END), 'description')::VARCHAR
            AS description
    FROM {{marked_requests}}
    WHERE joins
) AS joining
WHERE {pod_health}.pod_id = joining.pod_id AND {pod_health}.incarnation <> joining.incarnation
