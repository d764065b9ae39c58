-- What the rule of claims reads of a step.
rowid AS id, step_id, priority, created_ts, queue, key,
length(CAST(payload AS BLOB)) AS payload_size, retry_count < max_retries AS has_tries_left
