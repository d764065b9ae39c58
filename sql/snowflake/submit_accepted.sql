-- Insert the steps of the submissions that were found acceptable, except those that replace others.
{{insert_submitted}}
WHERE new.value:replaces IS NULL
    AND new.value:submission_id::VARCHAR IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
    )
