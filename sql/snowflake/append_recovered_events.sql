-- Append the events of a recovery.
{{step_events_of_rows}}
WHERE change_id = :change_id
    AND {{may_be_settled}}
