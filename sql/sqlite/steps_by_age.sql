-- Steps in the order of their submission.
SELECT rowid, step_id, version, status, created_ts, last_update_ts
FROM step_tracker
WHERE rowid > :after
ORDER BY rowid
LIMIT :limit
