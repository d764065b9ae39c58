-- Lock the events of the earlier attempts of a change, and count them. A query might not see them
-- yet.
UPDATE {step_events}
SET version = version
WHERE change_id IN (
    SELECT value::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
)
