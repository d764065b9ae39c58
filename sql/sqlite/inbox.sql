SELECT
    {{inbox_columns}}
FROM step_inbox
ORDER BY row_id
LIMIT :limit
