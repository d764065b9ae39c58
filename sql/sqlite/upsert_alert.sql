INSERT OR REPLACE INTO alerts ({alert_names})
VALUES ({alert_values})
