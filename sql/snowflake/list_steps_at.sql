-- Steps that a filter may have selected at a moment, the latest first: those that it selects and that have
-- not changed since then, and those of which only the events tell.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {summary_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT {summary_names with error = SUBSTR(error, 1, 500) AS error}
    FROM {step_tracker}
    WHERE (
            :queues IS NULL
            OR queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))))
        )
        AND (
            :keys IS NULL
            OR key IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:keys))))
        )
        AND (:workflow_id IS NULL OR workflow_id = :workflow_id)
        AND STARTSWITH(step_id, :id_prefix)
        AND (:submitted_from IS NULL OR created_ts >= TO_TIMESTAMP_LTZ(:submitted_from, 6))
        AND (:submitted_before IS NULL OR created_ts < TO_TIMESTAMP_LTZ(:submitted_before, 6))
        AND created_ts <= TO_TIMESTAMP_LTZ(:moment, 6)
        AND (
            last_update_ts > TO_TIMESTAMP_LTZ(:moment, 6)
            OR (
                (
                    :statuses IS NULL
                    OR status IN (
                        SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses)))
                    )
                )
                AND (
                    :task_types IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:task_types)))
                    )
                )
                AND (:labels IS NULL OR ',' || SUBSTR(labels, 2) LIKE :labels ESCAPE '^')
                AND (:pod_id IS NULL OR claimed_by = :pod_id)
            )
        )
        AND (
            :before_ts IS NULL
            OR created_ts < TO_TIMESTAMP_LTZ(:before_ts, 6)
            OR (created_ts = TO_TIMESTAMP_LTZ(:before_ts, 6) AND step_id < :before_id)
        )
    QUALIFY ROW_NUMBER() OVER (ORDER BY created_ts DESC, step_id DESC) <= :limit
) AS step ON TRUE
ORDER BY step.created_ts DESC, step.step_id DESC
