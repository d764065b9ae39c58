-- Write or delete the row of an alert, unless it has changed since the caller read it; version 0: there
-- was none. Returns the number of rows that were written. The first lock lets one change an alert at a time,
-- and the second lets it see the row.
CREATE OR REPLACE PROCEDURE {procedure}(
    alert VARCHAR,
    expected_version NUMBER(38, 0),
    alerts VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    written NUMBER(38, 0) DEFAULT 0;
    inserted NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{lock_queues}};
    {{lock_alert}};
    found := SQLROWCOUNT;
    {{delete_alert}};
    written := SQLROWCOUNT;
    IF (written > 0 OR (found = 0 AND expected_version = 0)) THEN
        {{insert_alert}};
        inserted := SQLROWCOUNT;
        written := (SELECT :written + :inserted);
    END IF;
    IF (written > 0) THEN
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :written AS written);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
