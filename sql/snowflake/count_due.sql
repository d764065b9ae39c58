-- 1 if a step may be claimed, else 0.
SELECT COUNT(*)
FROM (
    SELECT 1 AS one
    FROM {step_tracker}
    WHERE status = 'pending'
        AND {{is_due}}
    LIMIT 1
) AS due
