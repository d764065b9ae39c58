-- Claim steps and record outcomes by sync.sql. An UPDATE that waited for its lock may see the steps as
-- they were before; each row that it changes still has the version that it saw, and if all were changed
-- in between, the second UPDATE of the transaction, which has the lock, claims others. Outcomes need
-- none: whatever changes a claimed step ends its claim. Where queues have limits, these and what runs
-- of the queues are locked first.
IF (claim > 0 AND within_limits) THEN
    {{lock_limits}};
    {{lock_running}};
END IF;
{{sync}};
changed := SQLROWCOUNT;
IF (claim > 0 AND changed <= outcome_count) THEN
    due := ({{count_due}});
    IF (due > 0) THEN
        {{sync}};
        claimed := SQLROWCOUNT;
    END IF;
END IF;
IF (claim > 0 AND within_limits AND (changed > outcome_count OR claimed > 0)) THEN
    {{take_tokens}};
END IF
