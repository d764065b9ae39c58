CREATE TABLE orphans (
    step_id      TEXT    NOT NULL PRIMARY KEY,
    claim_token  TEXT    NOT NULL,
    claimed_by   TEXT    NOT NULL,
    incarnation  TEXT    NOT NULL,
    retry_count  INTEGER NOT NULL,
    max_retries  INTEGER NOT NULL,
    size         INTEGER NOT NULL
) STRICT, WITHOUT ROWID
