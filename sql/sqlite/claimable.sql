SELECT {step_columns}
FROM step_tracker
WHERE status = 'pending' AND is_queued = 1
    AND {{is_due}}
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit
