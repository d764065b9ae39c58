SELECT {alert_columns}
FROM alerts
WHERE alert = :alert
