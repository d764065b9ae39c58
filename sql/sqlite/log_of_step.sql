-- The events of one step in the log.
{{step_events_of_log}}
    AND event.step_id = :step_id
