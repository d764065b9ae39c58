-- The limits of queues, and the history of their changes. A queue without a row has no limits. Both
-- are standard tables, whatever the kind of the others: claims under limits lock the whole table.
CREATE TABLE IF NOT EXISTS {queue_events} (
    queue                VARCHAR           NOT NULL,
    version              NUMBER(38, 0)     NOT NULL,
    type                 VARCHAR(16)       NOT NULL,
    event_ts             TIMESTAMP_LTZ(6)  NOT NULL,
    changed_by           VARCHAR,
    max_running          NUMBER(38, 0),
    max_running_per_key  NUMBER(38, 0),
    rate_count           NUMBER(38, 0),
    rate_period          NUMBER(38, 0),
    paused               BOOLEAN           NOT NULL,
    change_id            VARCHAR           NOT NULL
);

-- tokens: how full the token bucket was at refilled_ts, in parts of a token, rate_period of which are
-- one. The last two columns describe the latest change of the limits.
CREATE TRANSIENT TABLE IF NOT EXISTS {queues} (
    queue                VARCHAR           NOT NULL,
    max_running          NUMBER(38, 0),
    max_running_per_key  NUMBER(38, 0),
    rate_count           NUMBER(38, 0),
    rate_period          NUMBER(38, 0),
    paused               BOOLEAN           NOT NULL,
    tokens               NUMBER(38, 0)     NOT NULL,
    refilled_ts          TIMESTAMP_LTZ(6)  NOT NULL,
    version              NUMBER(38, 0)     NOT NULL,
    last_update_ts       TIMESTAMP_LTZ(6)  NOT NULL,
    change_id            VARCHAR           NOT NULL,
    change_type          VARCHAR(16)       NOT NULL,
    changed_by           VARCHAR
) DATA_RETENTION_TIME_IN_DAYS = 0;
