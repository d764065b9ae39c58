-- The steps that were completed since :since, among the rows between :after and :before, the latest
-- row first.
SELECT queue, task_type, last_update_ts
FROM step_tracker
WHERE rowid > :after AND rowid < :before AND status = 'completed' AND last_update_ts >= :since
ORDER BY rowid DESC
