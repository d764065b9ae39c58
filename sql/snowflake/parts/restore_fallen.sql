-- Restore what fell with steps that were replayed, level by level; see settle_waits.sql.
{{restore}};
more := SQLROWCOUNT;
IF (more > 0) THEN
    FOR level IN 2 TO 20 DO
        IF (more > 0) THEN
            {{restore}};
            more := SQLROWCOUNT;
        END IF;
    END FOR;
    {{append_settled_events}};
END IF
