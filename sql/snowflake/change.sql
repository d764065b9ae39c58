-- Cancel or replay steps: those of them whose status allows it.
UPDATE {step_tracker}
{evolve}
FROM (
    SELECT
        known.step_id, known.version, :type AS type, NULL AS claimed_by, NULL AS incarnation,
        NULL AS claim_token, NULL AS result, NULL AS error, NULL AS traceback, 0 AS retry_delay
    FROM {step_tracker} AS known
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:step_ids))) AS wanted
        ON known.step_id = wanted.value::VARCHAR
    JOIN TABLE(FLATTEN(input => PARSE_JSON(:sources))) AS source
        ON known.status = source.value::VARCHAR
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
