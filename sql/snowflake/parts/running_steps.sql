-- The claimed steps, without those whose claims end by the outcomes of the same change.
(
    SELECT held.queue, held.key
    FROM {step_tracker} AS held
    LEFT JOIN (
        SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
    ) AS ended
        ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
    WHERE held.status = 'claimed' AND ended.step_id IS NULL
)
