-- The columns of a row of the inbox.
row_id, payload, task_type, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay,
DATE_PART(epoch_microsecond, available_ts), step_id, max_retries, timeout
