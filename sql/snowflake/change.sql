-- Cancel or replay those of the steps whose status allows it.
UPDATE {step_tracker}
{evolve}
FROM (
    SELECT
        step.step_id, step.version, :type AS type,
        {event_values with available_ts = TO_TIMESTAMP_LTZ(0, 6)}
    FROM {step_tracker} AS step
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:step_ids))) AS requested
        ON step.step_id = requested.value::VARCHAR
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:sources))) AS source
        ON step.status = source.value::VARCHAR
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
