-- What a person is told of the fleet, and whether it was told.
CREATE TABLE IF NOT EXISTS alerts (
    alert           TEXT    NOT NULL PRIMARY KEY,
    status          TEXT    NOT NULL,
    since_ts        INTEGER NOT NULL,
    send_ts         INTEGER,
    tries           INTEGER NOT NULL,
    detail          TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    last_update_ts  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
