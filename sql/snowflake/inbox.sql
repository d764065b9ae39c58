-- The first rows of the inbox, with the time: up to :limit, with up to :most_bytes of texts, but at
-- least one. Rows with one row_id, which somebody has set, are taken in together.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {{inbox_columns}}
FROM {step_inbox}
QUALIFY RANK() OVER (ORDER BY row_id) = 1
    OR (
        RANK() OVER (ORDER BY row_id) <= :limit
        AND SUM(
            COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(labels), 0) + COALESCE(LENGTH(key), 0)
            + COALESCE(LENGTH(unique_key), 0) + COALESCE(LENGTH(step_id), 0)
        ) OVER (ORDER BY row_id) <= :most_bytes
    )
ORDER BY row_id
