-- Apply the event Claimed to those of the rows :ids, the first of the queue, that a claim may take.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (
    SELECT id
    FROM (
        SELECT id, has_tries_left, row_number() OVER claim AS place, sum(size) OVER claim AS bytes
        FROM (
            SELECT rowid AS id, retry_count < max_retries AS has_tries_left,
                length(CAST(payload AS BLOB)) AS size, priority, created_ts, step_id
            FROM step_tracker
            WHERE rowid IN (SELECT value FROM json_each(:ids))
        )
        WINDOW claim AS (
            ORDER BY priority DESC, created_ts, step_id ROWS UNBOUNDED PRECEDING
        )
    )
    WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= :free OR has_tries_left)
)
