-- Cancel steps that have expired, and return how many were. Nothing is locked if there are none.
CREATE OR REPLACE PROCEDURE {procedure}(
    most NUMBER(38, 0),
    error VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    expired NUMBER(38, 0) DEFAULT 0;
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
BEGIN
    expired := ({{count_expired}});
    IF (expired > 0) THEN
        BEGIN TRANSACTION;
        {{expire}};
        changed := SQLROWCOUNT;
        IF (changed > 0) THEN
            {{append_step_events}};
            {{settle_waits}};
        END IF;
        COMMIT;
    END IF;
    LET answer RESULTSET := (SELECT :changed AS changed);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
