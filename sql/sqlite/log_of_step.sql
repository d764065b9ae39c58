-- The events of one step in the log.
{{events_of_log}}
    AND event.step_id = :step_id
