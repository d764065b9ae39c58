INSERT INTO {pod_health} (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, change_id, change_type,
    description
)
SELECT joining.pod_id, 'up', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), joining.incarnation, 1,
    :change_id, 'joined', joining.description
FROM (
    SELECT
        pod_id, incarnation,
        GET_PATH(PARSE_JSON(CASE WHEN joins THEN request END), 'description')::VARCHAR
            AS description
    FROM {{marked_requests}}
    WHERE joins
) AS joining
WHERE NOT EXISTS (SELECT 1 FROM {pod_health} AS pod WHERE pod.pod_id = joining.pod_id)
