-- All events of the steps that changed last in a span of time, of those that changed first after it, and
-- of steps that are claimed; those of a step together and in order. In every row, how many events the
-- span has.
SELECT
    (
        SELECT COUNT(*)
        FROM {step_events}
        WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6) AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
            AND step_id <> ''
    ) AS events_of_span,
    {{brief_columns}}
FROM {step_events} AS event
JOIN {step_tracker} AS step ON step.step_id = event.step_id
WHERE event.step_id IN (
        SELECT step_id
        FROM (
            SELECT step_id
            FROM {step_events}
            WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6)
                AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
                AND step_id <> ''
            QUALIFY ROW_NUMBER() OVER (ORDER BY event_ts DESC) <= :most
        ) AS of_span
        UNION ALL
        SELECT step_id
        FROM (
            SELECT step_id
            FROM {step_events}
            WHERE event_ts >= TO_TIMESTAMP_LTZ(:until, 6)
                AND event_ts < TO_TIMESTAMP_LTZ(:look_until, 6)
                AND step_id <> ''
            QUALIFY ROW_NUMBER() OVER (ORDER BY event_ts) <= :most
        ) AS after_span
        UNION ALL
        SELECT step_id FROM {step_tracker} WHERE status = 'claimed'
    )
ORDER BY event.step_id, event.version
