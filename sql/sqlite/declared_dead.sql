-- The pods that are down because they were declared dead.
SELECT pod.pod_id
FROM pod_health AS pod
JOIN pod_events AS event ON event.pod_id = pod.pod_id AND event.version = pod.version
WHERE pod.status = 'down' AND event.type = 'declared_dead'
