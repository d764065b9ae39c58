SELECT {step_columns}
FROM step_tracker
WHERE status = 'failed' AND (last_update_ts, step_id) < (:before_ts, :before_id)
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit
