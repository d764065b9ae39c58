-- Schedules, and the history of their changes. Both are standard tables, whatever the kind of the others.
CREATE TABLE IF NOT EXISTS {schedule_events} (
    schedule        VARCHAR           NOT NULL,
    version         NUMBER(38, 0)     NOT NULL,
    type            VARCHAR(16)       NOT NULL,
    event_ts        TIMESTAMP_LTZ(6)  NOT NULL,
    changed_by      VARCHAR,
    step            VARCHAR           NOT NULL,
    cron            VARCHAR,
    every           NUMBER(38, 0),
    tz              VARCHAR           NOT NULL,
    overlap         VARCHAR(16)       NOT NULL,
    missed          VARCHAR(16)       NOT NULL,
    window          NUMBER(38, 0)     NOT NULL,
    status          VARCHAR(16)       NOT NULL,
    change_id       VARCHAR           NOT NULL
);

-- The columns from next_ts to firings are bookkeeping, not history: when the schedule is looked at next,
-- and what became of the times before.
CREATE TRANSIENT TABLE IF NOT EXISTS {schedules} (
    schedule        VARCHAR           NOT NULL,
    step            VARCHAR           NOT NULL,
    cron            VARCHAR,
    every           NUMBER(38, 0),
    tz              VARCHAR           NOT NULL,
    overlap         VARCHAR(16)       NOT NULL,
    missed          VARCHAR(16)       NOT NULL,
    window          NUMBER(38, 0)     NOT NULL,
    status          VARCHAR(16)       NOT NULL,
    next_ts         TIMESTAMP_LTZ(6),
    last_ts         TIMESTAMP_LTZ(6),
    last_step_id    VARCHAR,
    skipped         NUMBER(38, 0)     NOT NULL,
    firings         NUMBER(38, 0)     NOT NULL,
    version         NUMBER(38, 0)     NOT NULL,
    last_update_ts  TIMESTAMP_LTZ(6)  NOT NULL,
    change_id       VARCHAR           NOT NULL
) DATA_RETENTION_TIME_IN_DAYS = 0;
