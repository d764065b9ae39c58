-- Save the checkpoint of a step that has this claim and version.
UPDATE {step_tracker}
{{evolve}}
FROM (
    SELECT
        step.step_id, step.version, :pod_id AS pod_id, 'checkpointed' AS type,
        {event_values with claim_token = step.claim_token; checkpoint = :checkpoint}
    FROM {step_tracker} AS step
    WHERE step.step_id = :step_id AND step.status = 'claimed' AND step.claim_token = :claim_token
        AND step.version = :step_version
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
