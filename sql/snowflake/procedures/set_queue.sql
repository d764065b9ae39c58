-- Set the limits of a queue and return it, or nothing if it has changed since the caller read it. The
-- first lock lets one change a queue at a time, so that no queue gets two rows.
CREATE OR REPLACE PROCEDURE {procedure}(
    queue VARCHAR,
    new_version NUMBER(38, 0),
    event_type VARCHAR,
    max_running NUMBER(38, 0),
    max_running_per_key NUMBER(38, 0),
    rate_count NUMBER(38, 0),
    rate_period NUMBER(38, 0),
    paused BOOLEAN,
    begins_rate BOOLEAN,
    tokens NUMBER(38, 0),
    changed_by VARCHAR,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{lock_queues}};
    {{lock_limits}};
    {{lock_waiting}};
    IF (new_version > 1) THEN
        {{update_queue}};
        changed := SQLROWCOUNT;
    ELSEIF (new_version = 1) THEN
        {{insert_queue}};
        changed := SQLROWCOUNT;
    END IF;
    IF (changed > 0) THEN
        {{append_queue_events}};
        {{note_queue}};
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := ({{changed_queues}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
