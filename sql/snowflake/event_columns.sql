step_id, version, type, DATE_PART(epoch_microsecond, event_ts) AS at, pod_id, claim_token,
    incarnation, payload, priority, max_retries,
    DATE_PART(epoch_microsecond, available_ts) AS available_ts, result, error, traceback
