-- Store the steps of a submission whose ids are unique, all of them or none, and return how many were
-- stored.
CREATE OR REPLACE PROCEDURE {procedure}(
    submissions VARCHAR,
    submission_count NUMBER(38, 0),
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    stored NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{submit}};
    stored := SQLROWCOUNT;
    IF (stored = submission_count) THEN
        {{append_step_events}};
        COMMIT;
    ELSE
        ROLLBACK;
        stored := 0;
    END IF;
    LET answer RESULTSET := (SELECT :stored AS stored);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
