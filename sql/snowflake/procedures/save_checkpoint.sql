-- Save the checkpoint of a claimed step, and return whether it is saved. The second UPDATE sees what
-- the first did not if that had to wait for its lock. A call that is repeated changes nothing, and one
-- that is carried out after a later one finds another version.
CREATE OR REPLACE PROCEDURE {procedure}(
    step_id VARCHAR,
    claim_token VARCHAR,
    step_version NUMBER(38, 0),
    checkpoint VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{save_checkpoint}};
    changed := SQLROWCOUNT;
    IF (changed = 0) THEN
        {{save_checkpoint}};
        changed := SQLROWCOUNT;
    END IF;
    IF (changed > 0) THEN
        {{append_step_events}};
        COMMIT;
    ELSE
        {{lock_saved}};
        changed := SQLROWCOUNT;
        ROLLBACK;
    END IF;
    LET answer RESULTSET := ({{count_saved}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
