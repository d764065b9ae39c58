-- Append the events of a sync.
{{step_events_of_rows}}
WHERE change_id = :change_id
    AND {{may_stand}}
    AND {{may_be_settled}}
