SELECT step_id, version, type, event_ts, pod_id, claim_token, incarnation, payload, priority,
    max_retries, available_ts, result, error, traceback
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
ORDER BY step_id, version
