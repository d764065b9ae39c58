-- What became of children: 0 if the claim of a step was not current, 2 if they were stored, 1 if
-- nothing was done because of the steps that follow, which have their ids or unique keys or are their
-- parents, 3 if they would wait for what waits for them.
SELECT
    own.state, DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
    {step_columns}
FROM (SELECT :state AS state) AS own
LEFT JOIN (
    SELECT
        {step_names}
    FROM {step_tracker} AS owner
    WHERE step_id IN (
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
        OR step_id IN (SELECT submitted.parent_id FROM {{submitted_parents}} AS submitted)
) AS step ON own.state = 1
