-- Complete steps whose children are stored with it, by the claims under which they are held.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        held.step_id, held.version, outcome.pod_id, 'completed' AS type,
        {event_values with
            claim_token = outcome.claim_token;
            result = outcome.result
        }
    FROM (
        SELECT
            value:pod_id::VARCHAR AS pod_id,
            {outcome_values}
        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
    ) AS outcome
    JOIN {step_tracker} AS held
        ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
            AND held.status = 'claimed'
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
