-- Of these successes, the ids that are not, or not under this token, completed.
SELECT success.key
FROM json_each(:results) AS success
WHERE NOT EXISTS (
    SELECT 1
    FROM step_tracker
    WHERE step_id = success.key AND +status = 'completed' AND +claim_token = :claim_token
)
