INSERT INTO step_events (step_id, version, type, event_ts, pod_id, {claimed_names})
SELECT step_id, version, 'claimed', last_update_ts, claimed_by, {claimed_names}
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token
