-- How many steps a submission has stored; if none, the steps that have its ids.
SELECT
    own.stored,
    {step_columns}
FROM (
    SELECT COUNT(*) AS stored
    FROM {step_events}
    WHERE change_id = :incarnation AND type = 'submitted'
) AS own
LEFT JOIN (
    SELECT
        {step_names}
    FROM {step_tracker}
    WHERE step_id IN (
        SELECT value:step_id::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON('[' || :own_submissions || ']')))
    )
) AS step ON own.stored = 0
