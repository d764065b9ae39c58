-- All pods without their descriptions: every pod of a fleet reads this regularly, and Snowflake
-- returns results over about 100 KB from elsewhere.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM {schedules}),
    {pod_columns with description = NULL}
FROM (SELECT 1 AS always) AS now
LEFT JOIN {{pods_with_heartbeats}} AS pod ON TRUE
ORDER BY pod.pod_id
