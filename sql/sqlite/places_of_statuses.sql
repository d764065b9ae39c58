-- The rows with one of these statuses, of which none is 'completed': each has an index.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND 'claimed' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND 'pending' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_delayed
WHERE status = 'pending' AND is_queued = 0 AND 'pending' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_failed
WHERE status = 'failed' AND 'failed' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_others
WHERE status <> 'completed' AND status <> 'claimed' AND status <> 'pending' AND status <> 'failed'
    AND status IN (SELECT value FROM json_each(:statuses))
LIMIT :limit
