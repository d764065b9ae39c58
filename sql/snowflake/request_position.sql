-- How many older requests wait; 0 if the pod of this one is to serve all the same, because it has
-- waited for :patience microseconds for each of them; -1 if this one does not wait itself.
SELECT
    CASE
        WHEN COUNT(own.number) = 0 THEN -1
        WHEN DATEDIFF(microsecond, MAX(own.sent_ts), CURRENT_TIMESTAMP())
            >= :patience * COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
            THEN 0
        ELSE COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
    END AS position
FROM {{waiting_requests}} AS waiting
LEFT JOIN {{waiting_requests}} AS own
    ON own.pod_id = :pod_id AND own.incarnation = :incarnation AND own.number = :number
