-- Settle the waiting steps, level by level. What twenty levels leave is left to the leader.
{{lock_children}};
{{settle}};
more := SQLROWCOUNT;
IF (more > 0) THEN
    FOR level IN 2 TO 20 DO
        IF (more > 0) THEN
            {{settle}};
            more := SQLROWCOUNT;
        END IF;
    END FOR;
    {{append_settled_events}};
END IF
