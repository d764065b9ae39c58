-- Lock the steps that have the ids or unique keys of submissions. A query may not see yet what another session has
-- committed; an UPDATE changes what is there, and a transaction sees what it has changed.
UPDATE {step_tracker}
SET version = version
WHERE step_id IN (
    SELECT value:step_id::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
)
    OR unique_key IN (
        SELECT value:unique_key::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
    )
