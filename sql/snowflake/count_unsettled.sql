-- How many steps wait though their parents have ended, or stay cancelled though these are back.
SELECT (
        SELECT COUNT(*)
        FROM (
            SELECT step_id
            FROM {{parents}} AS parent
            WHERE status = 'waiting'
            GROUP BY step_id
            HAVING COUNT(CASE WHEN is_open THEN 1 END) = 0
                OR COUNT(CASE WHEN is_lost THEN 1 END) > 0
        ) AS waiting
    ) + (SELECT COUNT(*) FROM {{fallen}} WHERE named_parents > 0)
