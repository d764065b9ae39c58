SELECT {pod_event_columns}
FROM {pod_events}
ORDER BY pod_id, version
