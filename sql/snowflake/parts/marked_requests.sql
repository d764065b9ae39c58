-- The requests that this change serves. An UPDATE that waited for its lock may have marked requests
-- that were served or made void meanwhile; queries after it see that.
(
    SELECT incarnation, number, sent_ts, request, claim, outcomes, outcome_count
    FROM (
        SELECT
            incarnation, number, MAX(sent_ts) AS sent_ts, MAX(request) AS request,
            MAX(claim) AS claim, MAX(outcomes) AS outcomes, MAX(outcome_count) AS outcome_count,
            MIN(change_id) AS first_change, MAX(change_id) AS last_change,
            MAX(number) OVER (PARTITION BY incarnation) AS latest
        FROM {sync_requests}
        GROUP BY incarnation, number
    ) AS posted
    WHERE first_change = :change_id AND last_change = :change_id AND number = latest
) AS marked
