-- The steps of a workflow with ids after :after, by id.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {workflow_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT {workflow_names with error = SUBSTR(error, 1, 500) AS error}
    FROM {step_tracker}
    WHERE workflow_id = :workflow_id AND step_id > :after
    QUALIFY ROW_NUMBER() OVER (ORDER BY step_id) <= :limit
) AS step ON TRUE
ORDER BY step.step_id
