-- What Claimed makes of the first steps of the queue.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (
    SELECT rowid
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND due = 1
        AND (
            available_ts <= max(:now, last_update_ts) OR (version > 1 AND last_update_ts > :now)
        )
    ORDER BY priority DESC, created_ts, step_id
    LIMIT :limit
)
