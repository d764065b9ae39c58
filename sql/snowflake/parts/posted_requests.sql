-- The requests in the mailbox. One is void if a later one of its incarnation was posted or, if it is
-- a join, one of a later process of the pod; what counts is when it was posted first, and
-- after that, that it was not served before. The texts are those of rows that this change serves. Rows
-- that are later than a statement may take are from before the clock was set back, and do not count.
(
    SELECT
        pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
        MIN(change_id) AS first_change, MAX(change_id) AS last_change,
        MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
        MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
        MAX(claim) AS claim, MAX(routes) AS routes,
        MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
        MAX(outcome_count) AS outcome_count,
        MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
        (
            number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
            OR (
                joins
                AND ROW_NUMBER() OVER (
                    PARTITION BY pod_id, joins
                    ORDER BY
                        MIN(sent_ts) DESC,
                        CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                        incarnation DESC
                ) > 1
            )
        ) AS is_void
    FROM {sync_requests}
    WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
    GROUP BY pod_id, incarnation, number, joins
)
