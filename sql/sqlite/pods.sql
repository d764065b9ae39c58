SELECT {pod_columns}
FROM pod_health
ORDER BY pod_id
