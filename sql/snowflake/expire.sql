-- Cancel steps that have expired.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step_id, version, :pod_id AS pod_id, 'cancelled' AS type,
        {event_values with error = :error}
    FROM {step_tracker}
    WHERE status IN ('pending', 'waiting')
        AND {{is_expired}}
    QUALIFY ROW_NUMBER() OVER (ORDER BY start_by_ts, step_id) <= :most
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
