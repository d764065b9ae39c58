SELECT {alert_columns}
FROM alerts
ORDER BY alert
