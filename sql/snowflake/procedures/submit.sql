-- Store new steps, all of them or none, and return their number. If an id is taken, return the steps
-- that have these ids instead, as read in the transaction that has locked them.
CREATE OR REPLACE PROCEDURE {procedure}(
    submissions VARCHAR,
    submission_count NUMBER(38, 0),
    ids_are_unique BOOLEAN,
    pod_id VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    stored NUMBER(38, 0) DEFAULT 0;
    taken NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    IF (NOT ids_are_unique) THEN
        {{lock_submissions}};
        {{lock_submitted}};
        taken := SQLROWCOUNT;
    END IF;
    IF (taken = 0) THEN
        {{submit}};
        stored := SQLROWCOUNT;
    END IF;
    IF (stored = submission_count) THEN
        {{append_step_events}};
        COMMIT;
        LET answer RESULTSET := (SELECT :stored AS stored);
        RETURN TABLE(answer);
    END IF;
    LET existing RESULTSET := ({{existing_steps}});
    ROLLBACK;
    RETURN TABLE(existing);
{{roll_back_after_error}}
END
$$
