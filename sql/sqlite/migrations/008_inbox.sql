-- The inbox: who may insert a row here submits a step, in a transaction of his own. A sync makes a step
-- of each row, in the order of insertion, and deletes the row. Every column but row_id, which nobody
-- sets, may be NULL.
CREATE TABLE IF NOT EXISTS step_inbox (
    row_id        INTEGER NOT NULL PRIMARY KEY,
    payload       TEXT,     -- a JSON object, by default {}
    task_type     TEXT,     -- put into the payload
    queue         TEXT,
    priority      INTEGER,
    key           TEXT,
    unique_key    TEXT,
    unique_for    REAL,     -- seconds
    on_conflict   TEXT,     -- 'existing', 'replace' or 'error'
    labels        TEXT,     -- a JSON object of texts
    delay         REAL,     -- seconds from when the row is taken in
    available_ts  INTEGER,  -- or the time, in microseconds since the Unix epoch
    step_id       TEXT,
    max_retries   INTEGER,  -- by default as the task says
    timeout       REAL      -- seconds
) STRICT;
