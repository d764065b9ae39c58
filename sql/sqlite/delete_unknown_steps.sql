-- Those that the log does not know.
DELETE FROM step_tracker
WHERE NOT EXISTS (SELECT 1 FROM step_events AS event WHERE event.step_id = step_tracker.step_id)
