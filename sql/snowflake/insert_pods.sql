-- Pods as the log has them.
INSERT INTO {pod_health} (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version
)
SELECT
    pod.value[0]::VARCHAR, pod.value[1]::VARCHAR,
    TO_TIMESTAMP_LTZ(pod.value[2]::NUMBER(38, 0), 6),
    TO_TIMESTAMP_LTZ(pod.value[3]::NUMBER(38, 0), 6), pod.value[4]::VARCHAR,
    pod.value[5]::NUMBER(38, 0)
FROM TABLE(FLATTEN(input => PARSE_JSON(:pods))) AS pod
