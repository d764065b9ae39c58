-- Append the events of a change, unless steps have parents, so that more may follow from it.
{{step_events_of_rows}}
WHERE change_id = :change_id
    AND (
        :event_type = 'reprioritized'
        OR NOT EXISTS (SELECT 1 FROM {step_tracker} AS other WHERE other.parents IS NOT NULL)
    )
