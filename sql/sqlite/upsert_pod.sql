INSERT OR REPLACE INTO pod_health (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
