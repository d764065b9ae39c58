SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
WHERE status = 'failed' AND (last_update_ts, step_id) < (:before_ts, :before_id)
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit
