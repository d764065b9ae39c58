-- Claim steps and record outcomes in one statement, which locks the table once. Each of the
-- requests, in their order, is given the next places of the queue, as many as it claims, and takes
-- steps from them by the rule of steps_to_claim in core/step.py, if its incarnation has a status
-- that allows it and holds nothing under its token. No row is changed twice in one change.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step_id, version, pod_id, 'claimed' AS type,
        {event_values with
            claimed_by = pod_id;
            incarnation = incarnation;
            claim_token = claim_token;
            available_ts = TO_TIMESTAMP_LTZ(0, 6)
        }
    FROM (
        SELECT
            queue.step_id, queue.version, queue.has_tries_left, request.pod_id,
            request.incarnation, request.claim_token, request.free, request.slots,
            queue.is_limited,
            queue.place - request.last_place + request.claim AS place,
            SUM(queue.size) OVER (
                PARTITION BY request.last_place
                ORDER BY queue.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS bytes
        FROM (
            SELECT
                step_id, version, has_tries_left, is_limited, size,
                ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
            FROM {{claimable_steps}} AS claimable
            WHERE COALESCE(change_id, '') <> :change_id
            QUALIFY place <= :claim
        ) AS queue
        JOIN (
            SELECT
                posted.pod_id, posted.incarnation, posted.claim, posted.free, posted.slots,
                posted.claim_token,
                SUM(posted.claim) OVER (
                    ORDER BY posted.number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                ) AS last_place
            FROM (
                SELECT
                    index AS number, value:pod_id::VARCHAR AS pod_id,
                    value:incarnation::VARCHAR AS incarnation,
                    value:claim::NUMBER(38, 0) AS claim, value:free::NUMBER(38, 0) AS free,
                    value:slots::NUMBER(38, 0) AS slots,
                    value:claim_token::VARCHAR AS claim_token,
                    value:statuses::VARCHAR AS statuses
                FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
            ) AS posted
            JOIN {pod_health} AS pod
                ON pod.pod_id = posted.pod_id AND pod.incarnation = posted.incarnation
            WHERE posted.claim > 0 AND posted.statuses LIKE '% ' || pod.status || ' %'
                AND NOT EXISTS (
                    SELECT 1
                    FROM {step_tracker} AS held
                    WHERE held.status = 'claimed' AND held.claim_token = posted.claim_token
                        AND held.claimed_by = posted.pod_id
                        AND held.incarnation = posted.incarnation
                )
        ) AS request
            ON queue.place > request.last_place - request.claim
                AND queue.place <= request.last_place
    ) AS chosen
    WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= free OR has_tries_left)
        AND (place <= slots OR NOT is_limited)
    UNION ALL
    SELECT
        held.step_id, held.version, outcome.pod_id,
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
            value:pod_id::VARCHAR AS pod_id,
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
