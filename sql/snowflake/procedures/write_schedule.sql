-- Write a schedule and submit its steps, unless its row has changed since the caller read it, which has
-- version 0 if there is none. Returns the number of rows that were written; -1: a parent of the steps
-- does not exist. The first lock lets one change a schedule at a time, and the second lets it see the row.
CREATE OR REPLACE PROCEDURE {procedure}(
    schedule VARCHAR,
    expected_version NUMBER(38, 0),
    expected_firings NUMBER(38, 0),
    schedules VARCHAR,
    events VARCHAR,
    submissions VARCHAR,
    submission_count NUMBER(38, 0),
    has_parents BOOLEAN,
    earlier VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    written NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    inserted NUMBER(38, 0) DEFAULT 0;
    accepted VARCHAR DEFAULT '[""]';
    more NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{lock_queues}};
    {{lock_schedule}};
    found := SQLROWCOUNT;
    {{delete_schedule}};
    written := SQLROWCOUNT;
    IF (written > 0 OR (found = 0 AND expected_version = 0)) THEN
        {{insert_schedule}};
        inserted := SQLROWCOUNT;
        written := (SELECT :written + :inserted);
    END IF;
    IF (written > 0 AND has_parents) THEN
        {{lock_parents}};
        accepted := (SELECT '["' || :change_id || '"]');
        accepted := ({{accepted_with_parents}});
        IF (accepted = '[]') THEN
            written := -1;
        END IF;
    END IF;
    IF (written > 0) THEN
        {{append_schedule_events}};
        IF (submission_count > 0) THEN
            {{lock_submitted}};
            {{submit_scheduled}};
            {{append_step_events}};
            appended := SQLROWCOUNT;
            IF (has_parents) THEN
                {{settle_waits}};
            END IF;
        END IF;
        IF (appended = 0) THEN
            {{note_queue}};
        END IF;
        COMMIT;
    ELSE
        IF (written = 0 AND found > 0) THEN
            written := ({{schedule_written_earlier}});
        END IF;
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :written AS written);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
