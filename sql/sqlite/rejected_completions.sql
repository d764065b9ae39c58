-- The ids of these successes that are not completed under this claim token.
SELECT success.key
FROM json_each(:results) AS success
WHERE NOT EXISTS (
    SELECT 1
    FROM step_tracker
    WHERE step_id = success.key AND +status = 'completed' AND +claim_token = :claim_token
)
