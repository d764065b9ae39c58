-- A pod's claim and its outcomes, in the one statement that takes the table's lock. Of the first
-- steps of the queue the claim takes those that it may: see claimed_of in core/step.py. Nothing
-- happens unless the incarnation is in one of the statuses that allow it.
UPDATE {step_tracker}
{evolve}
FROM (
    SELECT
        step_id, version, 'claimed' AS type, :pod_id AS claimed_by, :incarnation AS incarnation,
        :claim_token AS claim_token, NULL AS result, NULL AS error, NULL AS traceback,
        0 AS retry_delay
    FROM (
        SELECT
            step_id, version, has_tries_left, place,
            SUM(size) OVER (
                ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS bytes
        FROM (
            SELECT
                step_id, version, retry_count < max_retries AS has_tries_left,
                LENGTH(payload) AS size,
                ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
            FROM {step_tracker}
            WHERE status = 'pending'
                AND (
                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                    OR (version > 1 AND last_update_ts > CURRENT_TIMESTAMP())
                )
                AND NOT EXISTS (
                    SELECT 1
                    FROM {step_tracker}
                    WHERE status = 'claimed' AND claim_token = :claim_token
                        AND claimed_by = :pod_id AND incarnation = :incarnation
                )
            QUALIFY place <= :claim
        )
    )
    WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= :free OR has_tries_left)
    UNION ALL
    SELECT
        held.step_id, held.version,
        CASE
            WHEN outcome.type <> 'failed' THEN outcome.type
            WHEN outcome.permanent OR held.retry_count >= held.max_retries THEN 'failed'
            ELSE 'retried'
        END AS type,
        held.claimed_by, held.incarnation, held.claim_token, outcome.result, outcome.error,
        outcome.traceback, outcome.retry_delay
    FROM (
        SELECT
            value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token,
            value:type::VARCHAR AS type, value:result::VARCHAR AS result,
            value:error::VARCHAR AS error, value:traceback::VARCHAR AS traceback,
            value:permanent::BOOLEAN AS permanent,
            value:retry_delay::NUMBER(38, 0) AS retry_delay
        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
    ) AS outcome
    JOIN {step_tracker} AS held
        ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
            AND held.status = 'claimed'
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
    AND (
        :anyway
        OR EXISTS (
            SELECT 1
            FROM {pod_health} AS pod
            JOIN TABLE(FLATTEN(input => PARSE_JSON(:fit))) AS fit ON pod.status = fit.value::VARCHAR
            WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
        )
    )
