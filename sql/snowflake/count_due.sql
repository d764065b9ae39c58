-- 1 if a step may be claimed, else 0.
SELECT COUNT(*)
FROM (
    SELECT 1 AS one
    FROM {{claimable_steps}} AS claimable
    LIMIT 1
) AS due
