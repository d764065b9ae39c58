-- The first steps of a queue with one task type.
SELECT
    {{claim_candidate}}
FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
    AND (key IS NULL) = :is_keyless
    AND {{is_due}}
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit
