-- Heartbeats are rows of a table of their own, because an INSERT waits for no lock. The leader moves
-- them to POD_HEALTH. This table and the next need no Time Travel and no Fail-safe.
CREATE TRANSIENT TABLE IF NOT EXISTS {pod_heartbeats} (
    pod_id        VARCHAR           NOT NULL,
    incarnation   VARCHAR           NOT NULL,
    heartbeat_ts  TIMESTAMP_LTZ(6)  NOT NULL
) DATA_RETENTION_TIME_IN_DAYS = 0;

-- The mailbox: requests that wait to be served, or were served by the change change_id: those of pods,
-- and submissions, whose id is their incarnation. A request has several rows if it was posted again.
CREATE TRANSIENT TABLE IF NOT EXISTS {sync_requests} (
    pod_id         VARCHAR           NOT NULL,
    incarnation    VARCHAR           NOT NULL,
    number         NUMBER(38, 0)     NOT NULL,
    sent_ts        TIMESTAMP_LTZ(6)  NOT NULL,
    request        VARCHAR           NOT NULL,
    claim          NUMBER(38, 0)     NOT NULL,
    outcomes       VARCHAR           NOT NULL,
    outcome_count  NUMBER(38, 0)     NOT NULL,
    joins          BOOLEAN           NOT NULL,
    submissions    VARCHAR           NOT NULL,
    routes         VARCHAR           NOT NULL,
    change_id      VARCHAR
) DATA_RETENTION_TIME_IN_DAYS = 0;

-- Which pod a row of STEP_TRACKER was last changed for.
ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS change_pod_id VARCHAR;

-- Tables made before are permanent, which cannot be changed while pods use them; but Time Travel
-- need not keep what an UPDATE replaces.
/*standard ALTER TABLE {step_tracker} SET DATA_RETENTION_TIME_IN_DAYS = 0;

ALTER TABLE {pod_health} SET DATA_RETENTION_TIME_IN_DAYS = 0;
*/
