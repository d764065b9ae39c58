SELECT {step_columns}
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claimed_by = :pod_id AND incarnation = :incarnation
    AND claim_token = :claim_token
ORDER BY priority DESC, created_ts, step_id
