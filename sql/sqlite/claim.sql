-- Apply the event Claimed to these rows.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (SELECT value FROM json_each(:ids))
