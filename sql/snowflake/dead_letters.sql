SELECT {step_columns}
FROM {step_tracker} AS step
WHERE step.status = 'failed'
    AND (
        :before_ts IS NULL
        OR DATE_PART(epoch_microsecond, step.last_update_ts) < :before_ts
        OR (
            DATE_PART(epoch_microsecond, step.last_update_ts) = :before_ts
            AND step.step_id < :before_id
        )
    )
QUALIFY ROW_NUMBER() OVER (ORDER BY step.last_update_ts DESC, step.step_id DESC) <= :limit
ORDER BY step.last_update_ts DESC, step.step_id DESC
