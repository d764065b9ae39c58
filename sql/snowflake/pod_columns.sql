pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
    DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version
