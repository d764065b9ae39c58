-- All events of the log, those of a step together and in order.
SELECT
    {{brief_columns}}
FROM step_events AS event
CROSS JOIN step_tracker AS step ON step.step_id = event.step_id
ORDER BY event.step_id, event.version
