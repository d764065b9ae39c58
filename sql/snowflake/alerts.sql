-- All alerts; one row without an alert if there is none.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    {alert_columns}
FROM (SELECT 1 AS always) AS now
LEFT JOIN {alerts} AS alert ON TRUE
ORDER BY alert.alert
