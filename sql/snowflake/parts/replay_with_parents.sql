-- Replay steps that have parents, level by level: first those of which no parent is to be replayed.
more := 1;
FOR level IN 1 TO 20 DO
    IF (more > 0) THEN
        {{replay_level}};
        more := SQLROWCOUNT;
        changed := (SELECT :changed + :more);
    END IF;
END FOR;
IF (changed < step_count) THEN
    is_ordered := FALSE;
    {{replay_level}};
    more := SQLROWCOUNT;
    changed := (SELECT :changed + :more);
END IF
