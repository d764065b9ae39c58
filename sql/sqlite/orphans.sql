-- INDEXED BY, as the planner would scan all steps by id to find the few claimed ones.
SELECT step_id, claim_token, claimed_by, incarnation, retry_count, max_retries,
    length(CAST(payload AS BLOB)) + ifnull(length(CAST(error AS BLOB)), 0)
        + ifnull(length(CAST(traceback AS BLOB)), 0) AS size
FROM step_tracker AS step INDEXED BY step_tracker_claimed
WHERE step.status = 'claimed' AND step.step_id > :after
    AND NOT EXISTS (
        SELECT 1
        FROM pod_health AS pod
        WHERE pod.pod_id = step.claimed_by AND pod.incarnation = step.incarnation
            AND pod.status <> 'down'
    )
ORDER BY step.step_id
LIMIT :limit
