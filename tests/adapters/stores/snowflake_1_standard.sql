-- FLEET-Q on Snowflake, standard tables, schema version 1. They run on every account; Snowflake keeps
-- their rows without keys or indexes, and locks a whole table for an UPDATE.

-- The log. It is only ever appended to, and it is the truth. A standard table in every kind of
-- schema: looking whether it has grown is free. Pruning leaves a line with an empty step_id.
CREATE TABLE IF NOT EXISTS {step_events} (
    step_id       VARCHAR           NOT NULL,
    version       NUMBER(38, 0)     NOT NULL,
    type          VARCHAR(16)       NOT NULL,
    event_ts      TIMESTAMP_LTZ(6)  NOT NULL,
    pod_id        VARCHAR,
    claim_token   VARCHAR,
    incarnation   VARCHAR,
    payload       VARCHAR,
    priority      NUMBER(38, 0),
    max_retries   NUMBER(38, 0),
    available_ts  TIMESTAMP_LTZ(6),
    result        VARCHAR,
    error         VARCHAR,
    traceback     VARCHAR,
    change_id     VARCHAR           NOT NULL
);

CREATE TABLE IF NOT EXISTS {pod_events} (
    pod_id       VARCHAR           NOT NULL,
    version      NUMBER(38, 0)     NOT NULL,
    type         VARCHAR(16)       NOT NULL,
    event_ts     TIMESTAMP_LTZ(6)  NOT NULL,
    by_pod_id    VARCHAR,
    incarnation  VARCHAR           NOT NULL,
    change_id    VARCHAR           NOT NULL
);

-- What the log adds up to, kept in the same transactions. The last three columns are bookkeeping of
-- the change that a row saw last.
CREATE TABLE IF NOT EXISTS {step_tracker} (
    step_id         VARCHAR           NOT NULL,
    status          VARCHAR(16)       NOT NULL,
    priority        NUMBER(38, 0)     NOT NULL,
    payload         VARCHAR           NOT NULL,
    retry_count     NUMBER(38, 0)     NOT NULL,
    max_retries     NUMBER(38, 0)     NOT NULL,
    created_ts      TIMESTAMP_LTZ(6)  NOT NULL,
    last_update_ts  TIMESTAMP_LTZ(6)  NOT NULL,
    available_ts    TIMESTAMP_LTZ(6)  NOT NULL,
    claimed_by      VARCHAR,
    incarnation     VARCHAR,
    claim_token     VARCHAR,
    result          VARCHAR,
    error           VARCHAR,
    traceback       VARCHAR,
    version         NUMBER(38, 0)     NOT NULL,
    change_id       VARCHAR,
    change_type     VARCHAR(16),
    change_token    VARCHAR
);

CREATE TABLE IF NOT EXISTS {pod_health} (
    pod_id             VARCHAR           NOT NULL,
    status             VARCHAR(16)       NOT NULL,
    birth_ts           TIMESTAMP_LTZ(6)  NOT NULL,
    last_heartbeat_ts  TIMESTAMP_LTZ(6)  NOT NULL,
    incarnation        VARCHAR           NOT NULL,
    version            NUMBER(38, 0)     NOT NULL,
    change_id          VARCHAR,
    change_ts          TIMESTAMP_LTZ(6)
);

-- The version of all this, and the row whose lock submissions under the users' own ids take turns at.
CREATE TABLE IF NOT EXISTS {fleet_q} (
    schema_version  NUMBER(38, 0)  NOT NULL,
    table_kind      VARCHAR(16)    NOT NULL,
    submissions     NUMBER(38, 0)  NOT NULL
);

INSERT INTO {fleet_q} (schema_version, table_kind, submissions)
SELECT 1, 'standard', 0
WHERE NOT EXISTS (SELECT 1 FROM {fleet_q});
