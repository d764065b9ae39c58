-- The inbox: who may insert a row here submits a step, in a transaction of his own. A sync makes a step
-- of each row, in the order of row_id, and deletes the row. Every column but row_id, which nobody sets,
-- may be NULL. A standard table, whatever the kind of the others, without Time Travel, as rows stay for
-- seconds.
CREATE TRANSIENT TABLE IF NOT EXISTS {step_inbox} (
    row_id        NUMBER(38, 0)     NOT NULL AUTOINCREMENT START 1 INCREMENT 1 ORDER,
    payload       VARCHAR,           -- the text of a JSON object, by default an empty one
    task_type     VARCHAR,           -- put into the payload
    queue         VARCHAR,
    priority      NUMBER(38, 0),
    key           VARCHAR,
    unique_key    VARCHAR,
    unique_for    FLOAT,             -- seconds
    on_conflict   VARCHAR,           -- 'existing', 'replace' or 'error'
    labels        VARCHAR,           -- the text of a JSON object of texts
    delay         FLOAT,             -- seconds from when the row is taken in
    available_ts  TIMESTAMP_LTZ(6),  -- or the time
    step_id       VARCHAR,
    max_retries   NUMBER(38, 0),     -- by default as the task says
    timeout       FLOAT              -- seconds
) DATA_RETENTION_TIME_IN_DAYS = 0;
