-- The steps that are not final, as one row: how many are pending, claimable and claimed, since when
-- the oldest claimable one has waited, and when the next one becomes due.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    COUNT(CASE WHEN status = 'pending' THEN 1 END),
    COUNT(CASE WHEN is_due THEN 1 END),
    COUNT(CASE WHEN status = 'claimed' THEN 1 END),
    DATE_PART(
        epoch_microsecond, MIN(CASE WHEN is_due THEN GREATEST(created_ts, available_ts) END)
    ),
    DATE_PART(
        epoch_microsecond,
        MIN(CASE WHEN status = 'pending' AND NOT is_due THEN available_ts END)
    )
FROM (
    SELECT
        status, created_ts, available_ts,
        status = 'pending' AND {{is_due}} AS is_due
    FROM {step_tracker}
    WHERE status IN ('pending', 'claimed')
) AS step
