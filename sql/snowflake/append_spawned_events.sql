-- Append the events of steps that wait for children from now on.
{{step_events_of_rows}}
WHERE change_id = :change_id || ' spawned'
