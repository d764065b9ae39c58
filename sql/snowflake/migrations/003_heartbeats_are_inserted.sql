-- Heartbeats are rows of a table of their own, because an INSERT waits for no lock. The leader moves
-- them to POD_HEALTH. The table needs no Time Travel and no Fail-safe.
CREATE TRANSIENT TABLE IF NOT EXISTS {pod_heartbeats} (
    pod_id        VARCHAR           NOT NULL,
    incarnation   VARCHAR           NOT NULL,
    heartbeat_ts  TIMESTAMP_LTZ(6)  NOT NULL
) DATA_RETENTION_TIME_IN_DAYS = 0;

-- Tables made before are permanent, which cannot be changed while pods use them; but Time Travel
-- need not keep what an UPDATE replaces.
/*standard ALTER TABLE {step_tracker} SET DATA_RETENTION_TIME_IN_DAYS = 0;

ALTER TABLE {pod_health} SET DATA_RETENTION_TIME_IN_DAYS = 0;
*/
