-- How many steps of these queues are claimed, by queue and key, apart from those with the claims
-- :ended, pairs of step id and claim token.
SELECT queue, key, count(*)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND queue IN (SELECT value FROM json_each(:queues))
    AND (step_id, claim_token) NOT IN (
        SELECT value ->> 0, value ->> 1 FROM json_each(:ended)
    )
GROUP BY queue, key
