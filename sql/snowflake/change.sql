-- Cancel or replay steps: those of them whose status allows it.
UPDATE {step_tracker}
{evolve}
FROM (
    SELECT
        known.step_id, known.version, :type AS type,
        {told_values with available_ts = TO_TIMESTAMP_LTZ(0, 6)}
    FROM {step_tracker} AS known
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:step_ids))) AS wanted
        ON known.step_id = wanted.value::VARCHAR
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:sources))) AS source
        ON known.status = source.value::VARCHAR
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
