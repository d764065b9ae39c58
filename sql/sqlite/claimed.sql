-- The steps that a claim has just taken, as one JSON value: between rows, SQLite would let other
-- threads run each time. What is known of all of them is not read from the rows.
SELECT json_group_array(
    json_array(
        {step_columns with
            status = 'claimed';
            last_update_ts = :now;
            claimed_by = :pod_id;
            incarnation = :incarnation;
            claim_token = :claim_token;
            result = NULL
        }
    )
) AS steps
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token
