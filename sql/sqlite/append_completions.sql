-- Append the events before the rows are updated, while these still show who holds the steps. The
-- plus signs stop SQLite from scanning all steps of the claim for each result.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, result)
SELECT step.step_id, step.version + 1, 'completed', :now, :pod_id, :claim_token, success.value
FROM json_each(:results) AS success
CROSS JOIN step_tracker AS step ON step.step_id = success.key
WHERE +step.status = 'claimed' AND +step.claim_token = :claim_token
