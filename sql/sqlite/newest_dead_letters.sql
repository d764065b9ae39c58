SELECT {step_columns}
FROM step_tracker
WHERE status = 'failed'
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit
