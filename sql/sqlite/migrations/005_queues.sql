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

-- Claims read the first steps of each queue and task type; those without a key apart, so that they are
-- found behind many whose keys are at their limit.
DROP INDEX step_tracker_queue;

CREATE INDEX step_tracker_queue ON step_tracker (
    queue, task_type, key IS NULL, priority DESC, created_ts, step_id
) WHERE status = 'pending' AND is_queued = 1;

-- The first steps of each key, for a limit per key.
CREATE INDEX step_tracker_key ON step_tracker (
    queue, task_type, key, priority DESC, created_ts, step_id
) WHERE key IS NOT NULL AND status = 'pending' AND is_queued = 1;
