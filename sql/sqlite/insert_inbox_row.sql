INSERT INTO step_inbox (
    payload, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay,
    step_id, max_retries, timeout
)
VALUES (
    :payload, :queue, :priority, :key, :unique_key, :unique_for, :on_conflict, :labels,
    :delay, :step_id, :max_retries, :timeout
)
