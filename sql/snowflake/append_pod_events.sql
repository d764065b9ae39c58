INSERT INTO {pod_events} (pod_id, version, type, event_ts, by_pod_id, incarnation, change_id)
SELECT
    pod_id, version, change_type,
    CASE WHEN change_type = 'joined' THEN birth_ts ELSE CURRENT_TIMESTAMP() END, :pod_id,
    incarnation, change_id
FROM {pod_health}
WHERE change_id = :change_id AND change_type <> ''
