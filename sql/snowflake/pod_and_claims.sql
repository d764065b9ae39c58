-- A pod, and in rows of their own the claims that it holds.
SELECT
    {pod_columns},
    NULL AS step_id, NULL AS claim_token
FROM {{pods_with_heartbeats}} AS pod
WHERE pod.pod_id = :pod_id
UNION ALL
SELECT
    {pod_nulls},
    step_id, claim_token
FROM {step_tracker}
WHERE status = 'claimed' AND claimed_by = :pod_id
