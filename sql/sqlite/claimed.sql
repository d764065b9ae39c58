-- The claimed steps as one JSON value: between rows, SQLite would let other threads run each time.
SELECT json_group_array(
    json_array(
        {step_columns}
    )
)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token
