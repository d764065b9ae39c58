-- Serve the requests that wait, in one transaction. The first UPDATE marks them, and its lock lets one
-- call serve at a time. Steps are changed before others are submitted, so that none is claimed in the
-- transaction that submits it; pods change last, as every transaction locks steps before pods. They
-- join before others are changed, so that no row is changed twice. Nothing is carried out if a claim
-- may not stand.
BEGIN TRANSACTION;
{{mark_requests}};
{{read_marked_requests}};
IF (claim > 0 OR outcome_count > 0) THEN
    {{sync_steps}};
END IF;
IF (submissions <> '[]') THEN
    {{lock_submitted}};
    IF (replacing > 0 OR with_parents > 0) THEN
        IF (with_parents > 0) THEN
            {{lock_parents}};
        END IF;
        accepted := ({{accepted_ids}});
        IF (with_parents > 0) THEN
            accepted := ({{accepted_with_parents}});
        END IF;
        {{submit_accepted}};
        submit_count := SQLROWCOUNT;
        {{replace_submitted}};
        replaced := SQLROWCOUNT;
    ELSE
        {{submit}};
        submit_count := SQLROWCOUNT;
    END IF;
END IF;
IF (changed > 0 OR claimed > 0 OR submit_count > 0 OR replaced > 0) THEN
    {{append_served_events}};
    appended := SQLROWCOUNT;
    IF (submit_count > 0) THEN
        appended := (SELECT :appended - :submit_count);
    END IF;
    IF (outcome_count > 0 AND appended < changed) THEN
        {{append_held_back}};
    END IF;
    IF (more > 0 OR with_parents > 0) THEN
        {{settle_waits}};
    END IF;
END IF;
IF (join_count > 0) THEN
    {{join_again}};
    {{join_first}};
END IF;
IF (command_count > 0) THEN
    {{pod_commands}};
END IF;
IF (join_count > 0 OR command_count > 0) THEN
    {{append_pod_events}};
END IF;
IF (claimed = 0 AND appended < changed) THEN
    ROLLBACK;
ELSE
    COMMIT;
END IF
