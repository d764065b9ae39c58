-- Delete rows of the inbox, and store what became of them, all or nothing: nothing if another sync has
-- taken one of them in, or if steps have ids or unique keys of the submissions that the caller did not
-- know of. The inbox is locked before the steps, and nobody waits for it who holds another lock.
CREATE OR REPLACE PROCEDURE {procedure}(
    row_ids VARCHAR,
    row_count NUMBER(38, 0),
    submissions VARCHAR,
    is_checked BOOLEAN,
    replacing NUMBER(38, 0),
    rejections VARCHAR,
    pod_id VARCHAR,
    new_change_id VARCHAR,
    reject_change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    change_id VARCHAR DEFAULT '';
    accepted VARCHAR DEFAULT '[]';
    found NUMBER(38, 0) DEFAULT 0;
    deleted NUMBER(38, 0) DEFAULT 0;
    state NUMBER(38, 0) DEFAULT 0;
BEGIN
    change_id := new_change_id;
    IF (row_count > 0) THEN
        found := ({{count_inbox_rows}});
    END IF;
    IF (row_count > 0 AND found = row_count) THEN
        BEGIN TRANSACTION;
        {{lock_inbox_rows}};
        {{delete_inbox_rows}};
        deleted := SQLROWCOUNT;
        IF (deleted = row_count) THEN
            state := 1;
            IF (is_checked) THEN
                {{lock_submitted}};
            END IF;
            accepted := ({{accepted_ids}});
        END IF;
        IF (state = 1 AND (accepted <> '[]' OR submissions = '[]')) THEN
            {{submit_accepted}};
            IF (replacing > 0) THEN
                {{replace_submitted}};
            END IF;
            {{append_step_events}};
            IF (rejections <> '[]') THEN
                change_id := reject_change_id;
                {{reject}};
                {{append_step_events}};
            END IF;
            state := 2;
        END IF;
        LET taken RESULTSET := ({{taken_in}});
        IF (state = 2) THEN
            COMMIT;
        ELSE
            ROLLBACK;
        END IF;
        RETURN TABLE(taken);
    END IF;
    LET answer RESULTSET := ({{taken_in}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
