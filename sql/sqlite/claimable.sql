SELECT {step_columns}
FROM step_tracker
WHERE status = 'pending' AND due = 1
    AND (
        available_ts <= max(:now, last_update_ts) OR (version > 1 AND last_update_ts > :now)
    )
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit
