-- What became of a turn, read after its commit: one row of kind 'now' (its version is that of the
-- tables), a row for each step that the pod holds (its payload only if this turn claimed it), a row for
-- each step whose outcome counted.
SELECT
    'now' AS kind, DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
    (
        SELECT DATE_PART(epoch_microsecond, MIN(available_ts))
        FROM {step_tracker}
        WHERE status = 'pending' AND available_ts > CURRENT_TIMESTAMP()
    ) AS next_due,
    EXISTS (SELECT 1 FROM {step_tracker} WHERE status = 'claimed') AS held,
    EXISTS (
        SELECT 1
        FROM {step_tracker}
        WHERE status = 'pending'
            AND (
                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                OR (version > 1 AND last_update_ts > CURRENT_TIMESTAMP())
            )
    ) AS claimable,
    NULL AS step_id, NULL AS status, NULL AS priority, NULL AS payload, NULL AS retry_count,
    NULL AS max_retries, NULL AS created_ts, NULL AS last_update_ts, NULL AS available_ts,
    NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error,
    NULL AS traceback, (SELECT MAX(schema_version) FROM {fleet_q}) AS version
UNION ALL
SELECT
    'pod', NULL, NULL, NULL, NULL, pod.pod_id, pod.status, NULL, NULL, NULL, NULL,
    DATE_PART(epoch_microsecond, pod.birth_ts), DATE_PART(epoch_microsecond, pod.last_heartbeat_ts),
    NULL, NULL, pod.incarnation, NULL, NULL, NULL, NULL, pod.version
FROM {pod_health} AS pod
WHERE pod.pod_id = :pod_id
UNION ALL
SELECT
    'held', NULL, NULL, NULL, NULL, step.step_id, step.status, step.priority,
    CASE WHEN step.claim_token = :claim_token THEN step.payload END,
    step.retry_count, step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version
FROM {step_tracker} AS step
WHERE step.status = 'claimed' AND step.claimed_by = :pod_id
UNION ALL
SELECT
    'done', NULL, NULL, NULL, NULL, step_id, type, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, claim_token, NULL, NULL, NULL, version
FROM {step_events}
WHERE change_id = :change_id AND type <> 'claimed'
