-- The columns of a step as its struct has them; times are microseconds since the Unix epoch.
step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts), DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version
