-- FLEET-Q on Snowflake. Standard tables work on every account; they have no keys or indexes, and an
-- UPDATE locks the whole table. Hybrid tables have keys, indexes and row locks; only step_tracker
-- and pod_health can be hybrid. No index has a TIMESTAMP_LTZ, which Snowflake may refuse.

-- The log, from which the other tables can be rebuilt. It is append-only, except for pruning, which
-- leaves an event with an empty step_id. It is always a standard table: counting its rows is free.
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

-- The current state, updated in the same transactions as the log. The last three columns describe
-- the latest change of a row. An UPDATE replaces whole micro-partitions; the standard tables are
-- transient and without Time Travel, so that Snowflake does not keep the old ones for days. If they
-- are lost, fleet-q rebuild makes them anew from the log.
CREATE /*hybrid HYBRID *//*standard TRANSIENT */TABLE IF NOT EXISTS {step_tracker} (
    step_id         VARCHAR           NOT NULL/*hybrid  PRIMARY KEY*/,
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
    change_token    VARCHAR/*hybrid ,
    INDEX step_tracker_queue (status, priority),
    INDEX step_tracker_change (change_id)*/
)/*standard  DATA_RETENTION_TIME_IN_DAYS = 0*/;

CREATE /*hybrid HYBRID *//*standard TRANSIENT */TABLE IF NOT EXISTS {pod_health} (
    pod_id             VARCHAR           NOT NULL/*hybrid  PRIMARY KEY*/,
    status             VARCHAR(16)       NOT NULL,
    birth_ts           TIMESTAMP_LTZ(6)  NOT NULL,
    last_heartbeat_ts  TIMESTAMP_LTZ(6)  NOT NULL,
    incarnation        VARCHAR           NOT NULL,
    version            NUMBER(38, 0)     NOT NULL,
    change_id          VARCHAR,
    change_ts          TIMESTAMP_LTZ(6)
)/*standard  DATA_RETENTION_TIME_IN_DAYS = 0*/;

-- The schema version, and the row that submissions with ids chosen by users lock.
CREATE TABLE IF NOT EXISTS {fleet_q} (
    schema_version  NUMBER(38, 0)  NOT NULL,
    table_kind      VARCHAR(16)    NOT NULL,
    submissions     NUMBER(38, 0)  NOT NULL
);

INSERT INTO {fleet_q} (schema_version, table_kind, submissions)
SELECT 1, '{table_kind}', 0
WHERE NOT EXISTS (SELECT 1 FROM {fleet_q});
