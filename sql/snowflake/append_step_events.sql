-- Append the events of one change.
{{step_events_of_rows}}
WHERE change_id = :change_id
