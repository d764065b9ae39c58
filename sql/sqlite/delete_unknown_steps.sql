-- Delete those of the steps that have no events.
DELETE FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
    AND NOT EXISTS (SELECT 1 FROM step_events AS event WHERE event.step_id = step_tracker.step_id)
