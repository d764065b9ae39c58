-- Lock a pod's row, so that the transaction sees it as it is.
UPDATE {pod_health} SET version = version WHERE pod_id = :pod_id
