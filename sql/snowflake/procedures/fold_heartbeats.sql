-- Move heartbeats to the pods' rows and progress to the steps', and delete them and old requests. If
-- steps may be unsettled, settle them. Return how many were settled and how many have expired.
CREATE OR REPLACE PROCEDURE {procedure}(
    may_be_unsettled BOOLEAN,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    old NUMBER(38, 0) DEFAULT 0;
    unsettled NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    expired NUMBER(38, 0) DEFAULT 0;
BEGIN
    found := ({{count_heartbeats}});
    IF (found > 0) THEN
        BEGIN TRANSACTION;
        {{fold_heartbeats}};
        {{delete_folded_heartbeats}};
        COMMIT;
    END IF;
    found := ({{count_progress}});
    IF (found > 0) THEN
        BEGIN TRANSACTION;
        {{mark_progress}};
        {{fold_progress}};
        {{delete_folded_progress}};
        COMMIT;
    END IF;
    SELECT ({{count_old_requests}}), ({{count_expired}})
    INTO :old, :expired
    FROM (SELECT 1 AS one);
    IF (old > 0) THEN
        {{delete_old_requests}};
    END IF;
    IF (may_be_unsettled) THEN
        unsettled := ({{count_unsettled}});
        IF (unsettled > 0) THEN
            {{settle_rest}};
        END IF;
    END IF;
    LET answer RESULTSET := (SELECT :unsettled + :expired AS unsettled);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
