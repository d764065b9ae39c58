-- Recover the claims that are still orphans. A step without tries left fails, or is released if it
-- certainly did not begin.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        held.step_id, held.version, :pod_id AS pod_id,
        CASE
            WHEN held.retry_count < held.max_retries THEN 'recovered'
            WHEN claim.never_began THEN 'released'
            ELSE 'failed'
        END AS type,
        {event_values with
            claim_token = held.claim_token;
            error = REPLACE(:error, '{}', held.claimed_by);
            available_ts = TO_TIMESTAMP_LTZ(0, 6)
        }
    FROM {step_tracker} AS held
    JOIN (
        SELECT
            value[0]::VARCHAR AS step_id, value[1]::VARCHAR AS claim_token,
            value[2]::BOOLEAN AS never_began
        FROM TABLE(FLATTEN(input => PARSE_JSON(:claims)))
    ) AS claim ON held.step_id = claim.step_id AND held.claim_token = claim.claim_token
    WHERE held.status = 'claimed'
        AND NOT EXISTS (
            SELECT 1
            FROM {pod_health} AS pod
            WHERE pod.pod_id = held.claimed_by AND pod.incarnation = held.incarnation
                AND pod.status <> 'down'
        )
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
