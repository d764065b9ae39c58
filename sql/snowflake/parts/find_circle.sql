-- Look whether what children need waits for the step that spawned them, level by level. What is deeper
-- than a hundred levels counts as a circle.
FOR level IN 1 TO 100 DO
    IF (circles = 0 AND needed <> '[]') THEN
        circles := ({{count_circles}});
        needed := ({{needed_above}});
    END IF;
END FOR;
IF (circles > 0 OR needed <> '[]') THEN
    state := 3;
END IF
