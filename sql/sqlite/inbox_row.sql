SELECT
    {{inbox_columns}}
FROM step_inbox
WHERE step_id = :step_id
ORDER BY row_id
LIMIT 1
