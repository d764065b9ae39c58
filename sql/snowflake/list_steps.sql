-- Steps that a filter selects, the latest first.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {summary_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT {summary_names with error = SUBSTR(error, 1, 500) AS error}
    FROM {step_tracker}
    WHERE {{is_fixed}}
        AND {{is_as_filtered}}
        AND (
            :before_ts IS NULL
            OR created_ts < TO_TIMESTAMP_LTZ(:before_ts, 6)
            OR (created_ts = TO_TIMESTAMP_LTZ(:before_ts, 6) AND step_id < :before_id)
        )
    QUALIFY ROW_NUMBER() OVER (ORDER BY created_ts DESC, step_id DESC) <= :limit
) AS step ON TRUE
ORDER BY step.created_ts DESC, step.step_id DESC
