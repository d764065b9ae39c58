-- The events first, while the rows still say whose the steps are.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, result)
SELECT step.step_id, step.version + 1, 'completed', :now, :pod_id, step.claim_token,
    success.value ->> 2
FROM json_each(:successes) AS success
CROSS JOIN step_tracker AS step ON step.step_id = success.value ->> 0
WHERE step.status = 'claimed' AND step.claim_token = success.value ->> 1
