-- How many steps a submission has stored or replaced; if none, the steps that have its ids or unique
-- keys.
SELECT
    own.stored,
    {step_columns}
FROM (
    SELECT COUNT(*) AS stored
    FROM {step_events}
    WHERE change_id = :incarnation AND type IN ('submitted', 'replaced')
) AS own
LEFT JOIN (
    SELECT
        {step_names}
    FROM {step_tracker} AS owner
    WHERE step_id IN (
            SELECT value:step_id::VARCHAR
            FROM TABLE(FLATTEN(input => PARSE_JSON('[' || :own_submissions || ']')))
        )
        OR (
            unique_key IN (
                SELECT value:unique_key::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON('[' || :own_submissions || ']')))
            )
            AND {{has_unique_key}}
        )
) AS step ON own.stored = 0
