-- Delete a pod with its events, unless it has changed since it was read.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_id VARCHAR,
    incarnation VARCHAR,
    version NUMBER(38, 0),
    last_heartbeat_ts NUMBER(38, 0),
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    pruned NUMBER(38, 0) DEFAULT 0;
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{prune_pod}};
    pruned := SQLROWCOUNT;
    IF (pruned > 0) THEN
        {{prune_pod_events}};
        events := SQLROWCOUNT;
        {{prune_heartbeats}};
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT :pruned AS pruned, :events AS events);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
