-- The claimed steps as one value: a row each would be a switch of threads each.
SELECT json_group_array(
    json_array(
        {step_columns}
    )
)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token
