INSERT OR REPLACE INTO pod_health ({pod_names})
VALUES ({pod_values})
