-- When the event happened that has :number events before it since :since.
SELECT event_ts FROM step_events WHERE event_ts >= :since ORDER BY event_ts LIMIT 1 OFFSET :number
