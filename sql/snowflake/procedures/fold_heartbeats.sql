-- Move heartbeats to the pods' rows, and delete them and old requests.
CREATE OR REPLACE PROCEDURE {procedure}(
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    old NUMBER(38, 0) DEFAULT 0;
BEGIN
    found := ({{count_heartbeats}});
    IF (found > 0) THEN
        BEGIN TRANSACTION;
        {{fold_heartbeats}};
        {{delete_folded_heartbeats}};
        COMMIT;
    END IF;
    old := ({{count_old_requests}});
    IF (old > 0) THEN
        {{delete_old_requests}};
    END IF;
    LET answer RESULTSET := (SELECT :found AS found);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
