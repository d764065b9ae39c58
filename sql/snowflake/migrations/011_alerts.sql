-- What a person is told of the fleet, and whether it was told. It is a standard table, whatever the kind of
-- the others.
CREATE TRANSIENT TABLE IF NOT EXISTS {alerts} (
    alert           VARCHAR           NOT NULL,
    status          VARCHAR(16)       NOT NULL,
    since_ts        TIMESTAMP_LTZ(6)  NOT NULL,
    send_ts         TIMESTAMP_LTZ(6),
    tries           NUMBER(38, 0)     NOT NULL,
    detail          VARCHAR           NOT NULL,
    version         NUMBER(38, 0)     NOT NULL,
    last_update_ts  TIMESTAMP_LTZ(6)  NOT NULL
) DATA_RETENTION_TIME_IN_DAYS = 0;
