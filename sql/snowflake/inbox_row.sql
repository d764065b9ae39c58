-- The first row of the inbox that submits a step with this id, with the time.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {{inbox_columns}}
FROM {step_inbox}
WHERE step_id = :step_id
ORDER BY row_id
LIMIT 1
