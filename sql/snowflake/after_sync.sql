-- The state after a sync, read after its commit: one row of kind 'now', with the numbers of changed
-- steps and of served requests, whether any queue has, or had, limits, whether the inbox has rows,
-- whether any step waits, when the next schedule is to be looked at, and the pod if it exists; a row of
-- kind 'held' for each step that the pod holds (with the payload only if this sync claimed it); and a
-- row of kind 'done', with id and claim token, for each outcome that was recorded.
SELECT
    'now' AS kind, NULL AS changed_step_id, NULL AS changed_token,
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
    (
        SELECT DATE_PART(epoch_microsecond, MIN(available_ts))
        FROM {step_tracker}
        WHERE status = 'pending' AND available_ts > CURRENT_TIMESTAMP()
            AND {{is_served}}
    ) AS next_due,
    EXISTS (SELECT 1 FROM {step_tracker} WHERE status = 'claimed') AS held,
    EXISTS (
        SELECT 1
        FROM {step_tracker}
        WHERE status = 'pending'
            AND {{is_due}}
            AND NOT {{is_expired}}
            AND {{is_served}}
    ) AS due,
    EXISTS (SELECT 1 FROM {{claimable_steps}} AS claimable_step) AS claimable,
    EXISTS (SELECT 1 FROM {queues}) AS has_limits,
    EXISTS (SELECT 1 FROM {step_inbox}) AS has_inbox_rows,
    (
        SELECT DATE_PART(epoch_microsecond, MIN(DATEADD(
            microsecond,
            CEIL((rate_period - {{tokens_now}}) / rate_count)::NUMBER(38, 0),
            GREATEST(refilled_ts, CURRENT_TIMESTAMP())
        )))
        FROM {queues}
        WHERE rate_count IS NOT NULL AND NOT paused AND {{tokens_now}} < rate_period
            AND queue IN (
                SELECT queue FROM {step_tracker}
                WHERE status = 'pending'
                    AND {{is_due}}
                    AND {{is_served}}
            )
    ) AS next_token,
    EXISTS (SELECT 1 FROM {step_tracker} WHERE status = 'waiting') AS has_waiting,
    (SELECT MAX(schema_version) FROM {fleet_q}) AS schema_version,
    :changed + :claimed AS changed,
    :served AS served,
    (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM {schedules}) AS next_firing,
    {pod_columns with description = NULL},
    {step_nulls}
FROM (SELECT 1 AS always) AS now
LEFT JOIN {{pods_with_heartbeats}} AS pod ON pod.pod_id = :pod_id
UNION ALL
SELECT
    'held', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL,
    {pod_nulls},
    {step_columns with
        payload = CASE WHEN step.claim_token = :claim_token THEN step.payload END
    }
FROM {step_tracker} AS step
WHERE step.status = 'claimed' AND step.claimed_by = :pod_id
UNION ALL
SELECT
    'done', step_id, claim_token, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL,
    {pod_nulls},
    {step_nulls}
FROM {step_events}
WHERE change_id = :change_id AND pod_id = :pod_id AND type <> 'claimed'
