-- Claim steps and record outcomes in one statement, which locks the table once. The claim takes the
-- first steps of the queue by the rule of steps_to_claim in core/step.py. No row is changed unless the
-- pod's incarnation has one of the allowed statuses, and no row twice in one change.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step_id, version, 'claimed' AS type,
        {event_values with
            claimed_by = :pod_id;
            incarnation = :incarnation;
            claim_token = :claim_token;
            available_ts = TO_TIMESTAMP_LTZ(0, 6)
        }
    FROM (
        SELECT
            step_id, version, has_tries_left, place,
            SUM(size) OVER (
                ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS bytes
        FROM (
            SELECT
                step_id, version, retry_count < max_retries AS has_tries_left,
                OCTET_LENGTH(payload) AS size,
                ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
            FROM {step_tracker}
            WHERE status = 'pending'
                AND {{is_due}}
                AND COALESCE(change_id, '') <> :change_id
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
        {outcome_event_values with
            available_ts = CASE
                WHEN outcome.retry_delay > 0
                    THEN DATEADD(microsecond, outcome.retry_delay, CURRENT_TIMESTAMP())
                ELSE TO_TIMESTAMP_LTZ(0, 6)
            END
        }
    FROM (
        SELECT
            {outcome_values}
        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
    ) AS outcome
    JOIN {step_tracker} AS held
        ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
            AND held.status = 'claimed'
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
    AND (
        :skip_pod_check
        OR EXISTS (
            SELECT 1
            FROM {pod_health} AS pod
            WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
                AND pod.status IN (
                    SELECT value::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:allowed_statuses)))
                )
        )
    )
