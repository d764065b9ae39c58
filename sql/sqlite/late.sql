-- Of these successes, the ids that are not, or not under these tokens, completed.
SELECT success.value ->> 0
FROM json_each(:successes) AS success
WHERE NOT EXISTS (
    SELECT 1
    FROM step_tracker
    WHERE step_id = success.value ->> 0 AND status = 'completed'
        AND claim_token = success.value ->> 1
)
