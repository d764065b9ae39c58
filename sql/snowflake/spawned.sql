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
    WHERE {{has_submitted_id_or_key}}
        OR step_id IN (SELECT submitted.parent_id FROM {{submitted_parents}} AS submitted)
) AS step ON own.state = 1
