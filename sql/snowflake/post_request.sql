INSERT INTO {sync_requests} (
    pod_id, incarnation, number, sent_ts, request, claim, outcomes, outcome_count, joins,
    submissions, routes
)
SELECT
    :pod_id, :incarnation, :number, CURRENT_TIMESTAMP(), :own_request, :own_claim, :own_outcomes,
    :own_outcome_count, :joins, :own_submissions, :routes
