-- Whether a step, owner, has the id or the unique key of one of :submissions.
(
    step_id IN (
        SELECT value:step_id::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
    )
    OR (
        unique_key IN (
            SELECT value:unique_key::VARCHAR
            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
        )
        AND {{has_unique_key}}
    )
)
