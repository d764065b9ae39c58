-- Cancel, replay or reprioritize those of the steps whose status allows it. Steps with parents are
-- replayed by replay_level.sql.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step.step_id, step.version, :pod_id AS pod_id, :event_type AS type,
        {event_values with available_ts = TO_TIMESTAMP_LTZ(0, 6); priority = :priority}
    FROM {step_tracker} AS step
    JOIN (
        SELECT value::VARCHAR AS step_id
        FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
    ) AS requested ON step.step_id = requested.step_id
    WHERE step.status IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:sources)))
    )
        AND (:event_type <> 'reprioritized' OR step.priority <> :priority)
        AND (:event_type <> 'replayed' OR step.parents IS NULL)
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
