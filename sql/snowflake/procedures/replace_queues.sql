-- Replace rows by those folded from the history, if it still has as many events of these queues. The
-- first lock lets one change queues at a time.
CREATE OR REPLACE PROCEDURE {procedure}(
    names VARCHAR,
    queues VARCHAR,
    event_count NUMBER(38, 0),
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    {{lock_queues}};
    {{delete_queues}};
    events := ({{count_queue_events}});
    IF (events = event_count) THEN
        {{insert_queues}};
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
