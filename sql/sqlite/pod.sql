SELECT {pod_columns}
FROM pod_health
WHERE pod_id = :pod_id
