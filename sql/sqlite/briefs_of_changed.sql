-- All events of the steps that changed in a span of time. CROSS JOIN keeps those of a step together and
-- in order.
SELECT
    {{brief_columns}}
FROM (
    SELECT DISTINCT step_id
    FROM step_events
    WHERE event_ts >= :since AND event_ts < :until
    ORDER BY step_id
) AS changed
CROSS JOIN step_tracker AS step ON step.step_id = changed.step_id
CROSS JOIN step_events AS event ON event.step_id = step.step_id
