SELECT {pod_event_columns}
FROM {pod_events}
WHERE pod_id = :pod_id
ORDER BY version
