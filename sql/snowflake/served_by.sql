-- The change that has served a request; '' if none has. If two have marked it, the later one has
-- marked only rows that were posted later.
SELECT COALESCE(MAX(change_id), '')
FROM (
    SELECT change_id
    FROM {sync_requests}
    WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number
        AND change_id IS NOT NULL
    ORDER BY sent_ts
    LIMIT 1
) AS earliest
