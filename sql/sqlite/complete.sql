-- What Completed makes of the steps that are still held under these tokens.
UPDATE step_tracker
SET status = 'completed', last_update_ts = :now, result = success.value ->> 2, error = NULL,
    traceback = NULL, version = version + 1
FROM json_each(:successes) AS success
WHERE step_id = success.value ->> 0 AND status = 'claimed' AND claim_token = success.value ->> 1
