-- Mark the requests that this change serves: the oldest, up to 500, with up to 8 MiB of texts; of
-- those that claim, those with the routes of this pod. The lock of the table lets one change serve at
-- a time.
UPDATE {sync_requests}
SET change_id = :change_id
FROM (
    SELECT pod_id, incarnation, number
    FROM (
        SELECT
            pod_id, incarnation, number,
            ROW_NUMBER() OVER (ORDER BY sent_ts, incarnation) AS place,
            SUM(size) OVER (
                ORDER BY sent_ts, incarnation ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS bytes
        FROM {{waiting_requests}} AS waiting
        WHERE claim = 0 OR routes = :routes
    ) AS ordered
    WHERE place = 1 OR (place <= 500 AND bytes <= 8388608)
) AS marked
WHERE {sync_requests}.pod_id = marked.pod_id
    AND {sync_requests}.incarnation = marked.incarnation
    AND {sync_requests}.number = marked.number AND {sync_requests}.change_id IS NULL
