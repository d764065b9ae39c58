-- Replace rows by those folded from the log, if the log still has as many events of these steps. The
-- DELETE locks the table, so that only submissions can add events meanwhile.
CREATE OR REPLACE PROCEDURE {procedure}(
    step_ids VARCHAR,
    steps VARCHAR,
    event_count NUMBER(38, 0),
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{delete_steps}};
    {{lock_events}};
    events := SQLROWCOUNT;
    IF (events = event_count) THEN
        {{insert_steps}};
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
