-- 1 if the request is void, 0 if it is not.
SELECT COUNT(*)
FROM {{posted_requests}} AS posted
WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number AND is_void
