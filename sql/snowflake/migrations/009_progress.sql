-- What functions report. A row is an INSERT, which waits for no lock, as a heartbeat is; the leader moves
-- it to STEP_TRACKER, and marks it by change_id in the transaction that does. The table needs no Time
-- Travel and no Fail-safe.
CREATE TRANSIENT TABLE IF NOT EXISTS {step_progress} (
    step_id      VARCHAR           NOT NULL,
    claim_token  VARCHAR           NOT NULL,
    progress     VARCHAR           NOT NULL,
    reported_ts  TIMESTAMP_LTZ(6)  NOT NULL,
    change_id    VARCHAR
) DATA_RETENTION_TIME_IN_DAYS = 0;
