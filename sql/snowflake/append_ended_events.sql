-- Append the events of steps that ended, which may_be_settled.sql has left out.
{{step_events_of_rows}}
WHERE change_id = :change_id AND status IN ('completed', 'failed', 'cancelled')
    AND step_id NOT IN (SELECT step_id FROM {step_events} WHERE change_id = :change_id)
