-- The requests that this change serves.
(
    SELECT
        incarnation, number, MAX(sent_ts) AS sent_ts, MAX(request) AS request,
        MAX(claim) AS claim, MAX(outcomes) AS outcomes, MAX(outcome_count) AS outcome_count
    FROM {sync_requests}
    WHERE change_id = :change_id
    GROUP BY incarnation, number
) AS marked
