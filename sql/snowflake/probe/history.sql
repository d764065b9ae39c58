-- What the server needed for each statement of this session, in milliseconds; its warehouse's size is
-- NULL if it needed none: https://docs.snowflake.com/en/sql-reference/functions/query_history.
SELECT query_id, warehouse_size, total_elapsed_time,
    queued_provisioning_time + queued_repair_time + queued_overload_time + transaction_blocked_time,
    query_text
FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_SESSION(RESULT_LIMIT => 1000))
