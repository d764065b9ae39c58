-- The columns of a row of the inbox. A text may be no valid UTF-8, so texts are read as bytes.
row_id, CAST(payload AS BLOB), CAST(task_type AS BLOB), CAST(queue AS BLOB), priority,
CAST(key AS BLOB), CAST(unique_key AS BLOB), unique_for,
CAST(on_conflict AS BLOB), CAST(labels AS BLOB), delay,
available_ts, CAST(step_id AS BLOB), max_retries, timeout
