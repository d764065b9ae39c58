-- Append the events of steps that followed from what the change did to others.
{{step_events_of_rows}}
WHERE change_id = :change_id || ' settled'
