DELETE FROM pod_health
WHERE pod_id IN (SELECT value FROM json_each(:pod_ids))
