-- Recover orphans and return those that were changed. The second UPDATE sees what the first did not
-- if that had to wait for its lock.
CREATE OR REPLACE PROCEDURE {procedure}(
    claims VARCHAR,
    claim_count NUMBER(38, 0),
    error VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{recover}};
    changed := SQLROWCOUNT;
    IF (changed < claim_count) THEN
        {{recover}};
        more := SQLROWCOUNT;
    END IF;
    IF (more > 0) THEN
        changed := (SELECT :changed + :more);
    END IF;
    IF (changed > 0) THEN
        {{append_recovered_events}};
        appended := SQLROWCOUNT;
        IF (appended < changed) THEN
            {{append_ended_events}};
            {{settle_waits}};
        END IF;
    END IF;
    COMMIT;
    LET answer RESULTSET := ({{changed_steps}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
