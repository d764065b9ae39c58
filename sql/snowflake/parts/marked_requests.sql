-- The requests that this change serves. An UPDATE that waited for its lock may have marked requests
-- that were served or made void meanwhile; queries after it see that.
(
    SELECT
        pod_id, incarnation, number, sent_ts, joins, request, claim, outcomes, outcome_count,
        submissions
    FROM {{posted_requests}} AS posted
    WHERE first_change = :change_id AND last_change = :change_id AND NOT is_void
) AS marked
