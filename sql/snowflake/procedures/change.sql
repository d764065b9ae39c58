-- Cancel, replay or reprioritize steps, and return those that were changed. With ``all_or_none`` all of
-- them are changed or none. The second UPDATE sees what the first did not if that had to wait for its
-- lock. If one of the ``earlier`` attempts, whose answers were lost, has changed steps, return these and
-- change nothing.
CREATE OR REPLACE PROCEDURE {procedure}(
    event_type VARCHAR,
    step_ids VARCHAR,
    step_count NUMBER(38, 0),
    all_or_none BOOLEAN,
    priority NUMBER(38, 0),
    sources VARCHAR,
    pod_id VARCHAR,
    earlier VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    done NUMBER(38, 0) DEFAULT 0;
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    is_ordered BOOLEAN DEFAULT TRUE;
BEGIN
    BEGIN TRANSACTION;
    IF (earlier <> '[]') THEN
        {{lock_steps}};
        {{lock_earlier_events}};
        done := SQLROWCOUNT;
    END IF;
    IF (done > 0) THEN
        LET existing RESULTSET := ({{changed_earlier}});
        ROLLBACK;
        RETURN TABLE(existing);
    END IF;
    {{change}};
    changed := SQLROWCOUNT;
    IF (changed < step_count AND all_or_none) THEN
        {{change}};
        more := SQLROWCOUNT;
        changed := (SELECT :changed + :more);
    END IF;
    IF (event_type = 'replayed' AND changed < step_count) THEN
        {{replay_with_parents}};
    END IF;
    IF (changed = step_count OR NOT all_or_none) THEN
        {{append_change_events}};
        appended := SQLROWCOUNT;
        IF (appended < changed) THEN
            {{append_step_events}};
            IF (event_type = 'replayed') THEN
                {{restore_fallen}};
            ELSE
                {{settle_waits}};
            END IF;
        END IF;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := ({{changed_steps}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
