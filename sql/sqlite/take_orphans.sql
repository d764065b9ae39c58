DELETE FROM dead_letters
WHERE step_id IN (SELECT step_id FROM dead_letters ORDER BY step_id LIMIT :limit)
RETURNING step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size
