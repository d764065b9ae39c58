SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claimed_by = :pod_id AND incarnation = :incarnation
    AND claim_token = :claim_token
ORDER BY priority DESC, created_ts, step_id
