DELETE FROM alerts
WHERE alert = :alert
