-- Apply the event Completed to the steps that are still held under this claim token.
UPDATE step_tracker
SET status = 'completed', last_update_ts = :now, result = success.value, error = NULL,
    traceback = NULL, version = version + 1
FROM json_each(:results) AS success
WHERE step_id = success.key AND +status = 'claimed' AND +claim_token = :claim_token
