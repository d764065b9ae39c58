-- All events of the steps that changed in a span of time, those of a step together and in order.
SELECT
    {{brief_columns}}
FROM {step_events} AS event
JOIN {step_tracker} AS step ON step.step_id = event.step_id
WHERE event.step_id IN (
        SELECT step_id
        FROM {step_events}
        WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6) AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
    )
ORDER BY event.step_id, event.version
