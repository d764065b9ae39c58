-- Whether a pending step may be claimed, by the rule of is_due in core/step.py, except that a retry
-- counts as one of the future only if it is later than a statement may take: CURRENT_TIMESTAMP may be
-- from before the wait for a lock, during which others have recorded failures.
(
    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
)
