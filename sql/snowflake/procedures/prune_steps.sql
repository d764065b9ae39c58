-- Delete final steps with their events, in the order in which a sync locks the tables. Steps that
-- have changed since they were found are kept.
CREATE OR REPLACE PROCEDURE {procedure}(
    ended VARCHAR,
    before NUMBER(38, 0),
    pod_id VARCHAR,
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
    {{prune_steps}};
    pruned := SQLROWCOUNT;
    {{prune_step_events}};
    events := SQLROWCOUNT;
    IF (events > 0) THEN
        {{note_pruned}};
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT :pruned AS pruned, :events AS events);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
