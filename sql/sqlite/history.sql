SELECT step_id, version, type, event_ts, pod_id, claim_token, incarnation, payload, priority,
    max_retries, available_ts, result, error, traceback
FROM step_events
WHERE step_id = :step_id
ORDER BY version
