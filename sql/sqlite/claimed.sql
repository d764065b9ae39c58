-- The claimed steps as one value: a row each would be a switch of threads each.
SELECT json_group_array(
    json_array(
        step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
    )
)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token
