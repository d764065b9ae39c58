-- The pods that were last changed by this change.
SELECT {pod_columns}
FROM {{pods_with_heartbeats}} AS pod
WHERE pod.pod_id IN (SELECT pod_id FROM {pod_events} WHERE change_id = :change_id)
ORDER BY pod.pod_id
