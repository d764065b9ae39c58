-- Append the events of one change. Others than the pod itself only declare it dead.
INSERT INTO {pod_events} (
    pod_id, version, type, event_ts, by_pod_id, incarnation, description, change_id
)
SELECT
    pod_id, version, change_type,
    CASE WHEN change_type = 'joined' THEN birth_ts ELSE CURRENT_TIMESTAMP() END,
    CASE WHEN change_type = 'declared_dead' THEN :pod_id ELSE pod_id END, incarnation,
    CASE WHEN change_type = 'joined' THEN description END, change_id
FROM {pod_health}
WHERE change_id = :change_id AND change_type <> ''
