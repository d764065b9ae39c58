-- What became of rows of the inbox: 0 if others have taken them in, 2 if they were taken in, 1 if
-- nothing was done because steps have ids or unique keys of their submissions, with these steps.
SELECT
    own.state,
    {step_columns}
FROM (SELECT :state AS state) AS own
LEFT JOIN (
    SELECT
        {step_names}
    FROM {step_tracker} AS owner
    WHERE {{has_submitted_id_or_key}}
) AS step ON own.state = 1
