-- A page of the log, the latest first.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    DATE_PART(epoch_microsecond, entry.event_ts), entry.stream, entry.name, entry.version,
    entry.type, entry.by_whom, entry.queue, entry.task_type, entry.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT event_ts, stream, name, version, type, by_whom, queue, task_type, error
    FROM (
        {{events_of_log}}
    ) AS event_of_log
    WHERE {{is_in_log}}
        AND (
            :cursor_ts IS NULL
            OR event_ts < TO_TIMESTAMP_LTZ(:cursor_ts, 6)
            OR (
                event_ts = TO_TIMESTAMP_LTZ(:cursor_ts, 6)
                AND (
                    stream < :cursor_stream
                    OR (stream = :cursor_stream AND name < :cursor_name)
                    OR (
                        stream = :cursor_stream AND name = :cursor_name
                        AND version < :cursor_version
                    )
                )
            )
        )
    QUALIFY ROW_NUMBER() OVER (
        ORDER BY event_ts DESC, stream DESC, name DESC, version DESC
    ) <= :limit
) AS entry ON TRUE
ORDER BY entry.event_ts DESC, entry.stream DESC, entry.name DESC, entry.version DESC
