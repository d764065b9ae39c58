SELECT step.step_id, step.claim_token, step.claimed_by, step.incarnation, step.retry_count,
    step.max_retries,
    OCTET_LENGTH(step.payload) + COALESCE(OCTET_LENGTH(step.error), 0)
        + COALESCE(OCTET_LENGTH(step.traceback), 0)
FROM {step_tracker} AS step
WHERE step.status = 'claimed' AND step.step_id > :after
    AND NOT EXISTS (
        SELECT 1
        FROM {pod_health} AS pod
        WHERE pod.pod_id = step.claimed_by AND pod.incarnation = step.incarnation
            AND pod.status <> 'down'
    )
QUALIFY ROW_NUMBER() OVER (ORDER BY step.step_id) <= :limit
ORDER BY step.step_id
