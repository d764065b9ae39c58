-- The requests that may be served: none that was served before, none that is older than a minute, and
-- none that is void.
(
    SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
    FROM {{posted_requests}} AS posted
    WHERE last_change IS NULL AND NOT is_void
        AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
)
