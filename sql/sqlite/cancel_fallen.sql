-- Apply the event Cancelled to these waiting steps, each with its error.
UPDATE step_tracker
SET status = 'cancelled', last_update_ts = :now, version = version + 1, error = fallen.value
FROM json_each(:errors) AS fallen
WHERE step_id = fallen.key AND +status = 'waiting'
