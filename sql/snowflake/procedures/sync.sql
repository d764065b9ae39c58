-- Carry out a pod's request and return its state. A request that only claims looks for a due step
-- before it locks the table. A heartbeat is inserted first, without a lock, unless it has to wake the
-- pod; so is what functions report, if there is any. Pods join through the mailbox.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_id VARCHAR,
    incarnation VARCHAR,
    sends_heartbeat BOOLEAN,
    progress VARCHAR,
    transitions VARCHAR,
    allowed_statuses VARCHAR,
    skip_pod_check BOOLEAN,
    requests VARCHAR,
    routes VARCHAR,
    outcomes VARCHAR,
    outcome_count NUMBER(38, 0),
    claim NUMBER(38, 0),
    most_bytes NUMBER(38, 0),
    claim_token VARCHAR,
    may_be_limited BOOLEAN,
    only_if_claimable BOOLEAN,
    is_retry BOOLEAN,
    change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    served NUMBER(38, 0) DEFAULT 0;
    sent NUMBER(38, 0) DEFAULT 0;
    due NUMBER(38, 0) DEFAULT 1;
    changed NUMBER(38, 0) DEFAULT 0;
    claimed NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    within_limits BOOLEAN DEFAULT FALSE;
BEGIN
    within_limits := may_be_limited;
    IF (sends_heartbeat) THEN
        {{send_heartbeat}};
        sent := SQLROWCOUNT;
    END IF;
    IF (progress <> '[]') THEN
        {{send_progress}};
    END IF;
    IF (claim > 0 AND outcome_count = 0 AND NOT is_retry) THEN
        due := ({{count_due}});
    END IF;
    IF (
        outcome_count > 0
        OR (claim > 0 AND due > 0)
        OR (transitions IS NOT NULL AND sent = 0 AND (due > 0 OR NOT only_if_claimable))
    ) THEN
        BEGIN TRANSACTION;
        IF (outcome_count > 0 OR (claim > 0 AND due > 0)) THEN
            {{sync_steps}};
            IF (changed > 0 OR claimed > 0) THEN
                {{append_sync_events}};
                appended := SQLROWCOUNT;
                IF (outcome_count > 0 AND appended < changed) THEN
                    {{append_held_back}};
                    IF (more > 0) THEN
                        {{settle_waits}};
                    END IF;
                END IF;
            END IF;
        END IF;
        IF (
            transitions IS NOT NULL
            AND sent = 0
            AND (changed > 0 OR claimed > 0 OR is_retry OR NOT only_if_claimable)
        ) THEN
            {{pod_command}};
            {{append_pod_events}};
        END IF;
        IF (claimed = 0 AND appended < changed) THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END IF;
    within_limits := TRUE;
    LET answer RESULTSET := ({{after_sync}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
