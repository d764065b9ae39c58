-- The number of steps in each status. Completed steps are the rest of the total: counting them
-- would read the whole table.
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND is_queued = 1
UNION ALL
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND is_queued = 0
UNION ALL
SELECT 'claimed', count(*) FROM step_tracker WHERE status = 'claimed'
UNION ALL
SELECT 'failed', count(*) FROM step_tracker WHERE status = 'failed'
UNION ALL
SELECT * FROM (
    SELECT status, count(*) FROM step_tracker
    WHERE status <> 'completed' AND status <> 'claimed' AND status <> 'pending'
        AND status <> 'failed'
    GROUP BY status
)
UNION ALL
SELECT 'total', count(*) FROM step_tracker
