-- The limits of queues, and the history of their changes. A queue without a row has no limits.
CREATE TABLE IF NOT EXISTS queue_events (
    queue                TEXT    NOT NULL,
    version              INTEGER NOT NULL,
    type                 TEXT    NOT NULL,
    event_ts             INTEGER NOT NULL,
    changed_by           TEXT,
    max_running          INTEGER,
    max_running_per_key  INTEGER,
    rate_count           INTEGER,
    rate_period          INTEGER,
    paused               INTEGER NOT NULL,
    PRIMARY KEY (queue, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS queues (
    queue                TEXT    NOT NULL PRIMARY KEY,
    max_running          INTEGER,
    max_running_per_key  INTEGER,
    rate_count           INTEGER,
    rate_period          INTEGER,
    paused               INTEGER NOT NULL,
    -- Bookkeeping, not history: how full the token bucket was at refilled_ts, in parts of a token,
    -- rate_period of which are one.
    tokens               INTEGER NOT NULL,
    refilled_ts          INTEGER NOT NULL,
    version              INTEGER NOT NULL,
    last_update_ts       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
