-- Declare silent pods dead and return those that were.
CREATE OR REPLACE PROCEDURE {procedure}(
    silent VARCHAR,
    becomes VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    declared NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{declare_dead}};
    declared := SQLROWCOUNT;
    IF (declared > 0) THEN
        {{append_pod_events}};
    END IF;
    COMMIT;
    LET answer RESULTSET := ({{changed_pods}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
