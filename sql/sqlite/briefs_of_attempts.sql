-- All events of the steps that changed last in a span of time, of those that changed first after it, and
-- of steps that are claimed. CROSS JOIN keeps those of a step together and in order.
SELECT
    {{brief_columns}}
FROM (
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_events
        WHERE event_ts >= :since AND event_ts < :until
        ORDER BY event_ts DESC
        LIMIT :most
    )
    UNION
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_events
        WHERE event_ts >= :until AND event_ts < :until + :look_ahead
        ORDER BY event_ts
        LIMIT :most
    )
    UNION
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_tracker INDEXED BY step_tracker_claimed
        WHERE status = 'claimed'
        LIMIT :most
    )
) AS changed
CROSS JOIN step_tracker AS step ON step.step_id = changed.step_id
CROSS JOIN step_events AS event ON event.step_id = step.step_id
