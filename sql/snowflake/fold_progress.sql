-- Move the last progress of each claim to its step, unless the step has another claim or none. It is no
-- change of the step: neither its version nor its log changes.
UPDATE {step_tracker}
SET progress = latest.progress
FROM (
    SELECT step_id, claim_token, progress
    FROM {step_progress}
    WHERE change_id = :change_id
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY step_id, claim_token ORDER BY reported_ts DESC, progress DESC
    ) = 1
) AS latest
WHERE {step_tracker}.step_id = latest.step_id AND {step_tracker}.claim_token = latest.claim_token
