DELETE FROM orphans
WHERE step_id IN (SELECT step_id FROM orphans ORDER BY step_id LIMIT :limit)
RETURNING step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size
