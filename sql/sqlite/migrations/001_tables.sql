-- FLEET-Q on SQLite.
-- Times (*_ts) are whole microseconds since the Unix epoch:
--   SELECT step_id, datetime(created_ts / 1000000, 'unixepoch') FROM step_tracker;

-- The log, from which the other tables can be rebuilt. It is append-only, except for pruning.
CREATE TABLE IF NOT EXISTS step_events (
    step_id       TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    type          TEXT    NOT NULL,
    event_ts      INTEGER NOT NULL,
    pod_id        TEXT,
    claim_token   TEXT,
    incarnation   TEXT,
    payload       TEXT,
    priority      INTEGER,
    max_retries   INTEGER,
    available_ts  INTEGER,
    result        TEXT,
    error         TEXT,
    traceback     TEXT,
    PRIMARY KEY (step_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pod_events (
    pod_id       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    type         TEXT    NOT NULL,
    event_ts     INTEGER NOT NULL,
    by_pod_id    TEXT,
    incarnation  TEXT    NOT NULL,
    PRIMARY KEY (pod_id, version)
) STRICT, WITHOUT ROWID;

-- The current state, updated in the same transactions as the log.
CREATE TABLE IF NOT EXISTS step_tracker (
    step_id         TEXT    NOT NULL PRIMARY KEY,
    status          TEXT    NOT NULL,
    priority        INTEGER NOT NULL,
    payload         TEXT    NOT NULL,
    retry_count     INTEGER NOT NULL,
    max_retries     INTEGER NOT NULL,
    created_ts      INTEGER NOT NULL,
    last_update_ts  INTEGER NOT NULL,
    available_ts    INTEGER NOT NULL,
    claimed_by      TEXT,
    incarnation     TEXT,
    claim_token     TEXT,
    result          TEXT,
    error           TEXT,
    traceback       TEXT,
    version         INTEGER NOT NULL,
    -- Bookkeeping of this table, not of the log: 0 while a delay runs that no claim has looked
    -- past yet, so that the queue's index holds no step that would only be passed over.
    due             INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS step_tracker_queue ON step_tracker (priority DESC, created_ts, step_id)
    WHERE status = 'pending' AND due = 1;
CREATE INDEX IF NOT EXISTS step_tracker_delayed ON step_tracker (available_ts)
    WHERE status = 'pending' AND due = 0;
CREATE INDEX IF NOT EXISTS step_tracker_claimed ON step_tracker (claim_token, step_id)
    WHERE status = 'claimed';
CREATE INDEX IF NOT EXISTS step_tracker_failed ON step_tracker (last_update_ts, step_id)
    WHERE status = 'failed';
CREATE INDEX IF NOT EXISTS step_tracker_cancelled ON step_tracker (step_id)
    WHERE status = 'cancelled';

CREATE TABLE IF NOT EXISTS pod_health (
    pod_id             TEXT    NOT NULL PRIMARY KEY,
    status             TEXT    NOT NULL,
    birth_ts           INTEGER NOT NULL,
    last_heartbeat_ts  INTEGER NOT NULL,
    incarnation        TEXT    NOT NULL,
    version            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1179407441; -- FLTQ
