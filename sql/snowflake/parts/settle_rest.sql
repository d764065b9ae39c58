-- Settle what earlier changes have left, because it had too many levels, or because they did not see
-- yet what others had committed. What twenty levels leave, and what comes back, is settled by the next
-- call.
BEGIN TRANSACTION;
{{restore_rest}};
more := SQLROWCOUNT;
IF (more > 0) THEN
    FOR level IN 2 TO 20 DO
        IF (more > 0) THEN
            {{restore_rest}};
            more := SQLROWCOUNT;
        END IF;
    END FOR;
ELSE
    more := 1;
    FOR level IN 1 TO 20 DO
        IF (more > 0) THEN
            {{settle}};
            more := SQLROWCOUNT;
        END IF;
    END FOR;
END IF;
{{append_settled_events}};
unsettled := SQLROWCOUNT;
COMMIT
