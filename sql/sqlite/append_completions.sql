-- The events first, while the rows still say whose the steps are. The plus signs keep SQLite from
-- walking all that the claim holds for each of the results.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, result)
SELECT step.step_id, step.version + 1, 'completed', :now, :pod_id, :claim_token, success.value
FROM json_each(:results) AS success
CROSS JOIN step_tracker AS step ON step.step_id = success.key
WHERE +step.status = 'claimed' AND +step.claim_token = :claim_token
