-- The requests that may be served: none that was served before, none that is older than a minute, and
-- none that a later one of its incarnation has made void.
(
    SELECT incarnation, number, sent_ts, size
    FROM (
        SELECT
            incarnation, number, MAX(sent_ts) AS sent_ts, MAX(change_id) AS served_by,
            MAX(OCTET_LENGTH(outcomes)) AS size,
            MAX(number) OVER (PARTITION BY incarnation) AS latest
        FROM {sync_requests}
        GROUP BY incarnation, number
    ) AS posted
    WHERE served_by IS NULL AND number = latest
        AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
)
