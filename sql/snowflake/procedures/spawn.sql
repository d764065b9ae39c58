-- Complete steps and store their children, all or nothing: nothing if a claim is not current, if steps
-- have ids or unique keys of the children that the caller did not know of, or if a parent is unknown.
-- The steps that wait for those that complete then wait for the attached children, too.
CREATE OR REPLACE PROCEDURE {procedure}(
    outcomes VARCHAR,
    outcome_count NUMBER(38, 0),
    submissions VARCHAR,
    attached VARCHAR,
    outside VARCHAR,
    is_checked BOOLEAN,
    with_parents BOOLEAN,
    replacing NUMBER(38, 0),
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    accepted VARCHAR DEFAULT '[]';
    needed VARCHAR DEFAULT '[]';
    changed NUMBER(38, 0) DEFAULT 0;
    waits NUMBER(38, 0) DEFAULT 0;
    circles NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    state NUMBER(38, 0) DEFAULT 0;
BEGIN
    needed := outside;
    BEGIN TRANSACTION;
    {{complete_spawners}};
    changed := SQLROWCOUNT;
    IF (changed = outcome_count) THEN
        state := 1;
        IF (is_checked) THEN
            {{lock_submitted}};
        END IF;
        IF (with_parents) THEN
            {{lock_parents}};
        END IF;
        {{lock_children}};
        waits := SQLROWCOUNT;
        IF (is_checked OR with_parents) THEN
            accepted := ({{accepted_ids}});
            IF (with_parents) THEN
                accepted := ({{accepted_with_parents}});
            END IF;
            IF (accepted <> '[]' OR submissions = '[]') THEN
                state := 2;
            END IF;
        ELSE
            accepted := (SELECT '["' || :change_id || '"]');
            state := 2;
        END IF;
        IF (state = 2 AND waits > 0 AND outside <> '[]') THEN
            {{find_circle}};
        END IF;
    END IF;
    IF (state = 2) THEN
        {{submit_accepted}};
        IF (replacing > 0) THEN
            {{replace_submitted}};
        END IF;
        {{append_step_events}};
        IF (waits > 0) THEN
            {{add_children}};
            {{append_spawned_events}};
        END IF;
        IF (waits > 0 OR with_parents) THEN
            {{settle_waits}};
        END IF;
    END IF;
    LET spawned RESULTSET := ({{spawned}});
    IF (state = 2) THEN
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    RETURN TABLE(spawned);
{{roll_back_after_error}}
END
$$
