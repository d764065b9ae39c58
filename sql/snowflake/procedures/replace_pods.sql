-- Replace rows by those folded from the log, if the log still has as many events of these pods.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_ids VARCHAR,
    pods VARCHAR,
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
    {{delete_pods}};
    {{lock_pod_events}};
    events := SQLROWCOUNT;
    IF (events = event_count) THEN
        {{insert_pods}};
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
