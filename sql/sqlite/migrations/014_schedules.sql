-- Schedules, and the history of their changes.
CREATE TABLE IF NOT EXISTS schedule_events (
    schedule        TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    type            TEXT    NOT NULL,
    event_ts        INTEGER NOT NULL,
    changed_by      TEXT,
    step            TEXT    NOT NULL,
    cron            TEXT,
    every           INTEGER,
    tz              TEXT    NOT NULL,
    overlap         TEXT    NOT NULL,
    missed          TEXT    NOT NULL,
    window          INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    PRIMARY KEY (schedule, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS schedules (
    schedule        TEXT    NOT NULL PRIMARY KEY,
    step            TEXT    NOT NULL,
    cron            TEXT,
    every           INTEGER,
    tz              TEXT    NOT NULL,
    overlap         TEXT    NOT NULL,
    missed          TEXT    NOT NULL,
    window          INTEGER NOT NULL,
    status          TEXT    NOT NULL,
    -- Bookkeeping, not history: when it is looked at next, and what became of the times before.
    next_ts         INTEGER,
    last_ts         INTEGER,
    last_step_id    TEXT,
    skipped         INTEGER NOT NULL,
    firings         INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    last_update_ts  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS schedules_next ON schedules (next_ts) WHERE next_ts IS NOT NULL;
