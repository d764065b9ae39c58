-- Carry out a pod's command. :transitions has, for each status in which it is allowed, that status,
-- the status after it, the type of its event ('' for a heartbeat) and whether it is a sign of life.
UPDATE {pod_health}
SET
    status = change.becomes,
    last_heartbeat_ts = CASE
        WHEN change.is_sign_of_life THEN CURRENT_TIMESTAMP()
        ELSE {pod_health}.last_heartbeat_ts
    END,
    version = {pod_health}.version + CASE WHEN change.type = '' THEN 0 ELSE 1 END,
    change_id = :change_id,
    change_type = change.type
FROM (
    SELECT
        value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes, value[2]::VARCHAR AS type,
        value[3]::BOOLEAN AS is_sign_of_life
    FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
) AS change
WHERE {pod_health}.status = change.was AND {pod_health}.pod_id = :pod_id
    AND {pod_health}.incarnation = :incarnation
