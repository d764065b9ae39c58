-- Append the events of a change that served requests, and those of the submissions among them.
{{step_events_of_rows}}
WHERE (
        change_id = :change_id
        AND {{may_stand}}
        AND {{may_be_settled}}
    )
    OR change_id IN (
        SELECT value:submission_id::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
    )
