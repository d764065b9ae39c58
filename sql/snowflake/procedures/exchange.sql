-- Post a pod's request to the mailbox, unless it is there, and look whether it has been served. If it
-- is the oldest that waits, or has waited for long, serve all that wait in one transaction. The first
-- UPDATE marks them, and its lock lets one call serve at a time. Returns the pod's state if its request
-- has been served, or if it only claims and no step is due; else one column. Numbers begin with 1;
-- number 0 is not posted.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_id VARCHAR,
    incarnation VARCHAR,
    number NUMBER(38, 0),
    patience NUMBER(38, 0),
    sends_heartbeat BOOLEAN,
    transitions VARCHAR,
    own_request VARCHAR,
    own_claim NUMBER(38, 0),
    own_outcomes VARCHAR,
    own_outcome_count NUMBER(38, 0),
    only_claims BOOLEAN,
    claim_token VARCHAR,
    most_bytes NUMBER(38, 0),
    new_change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    change_id VARCHAR DEFAULT '';
    position NUMBER(38, 0) DEFAULT 0;
    due NUMBER(38, 0) DEFAULT 1;
    requests VARCHAR DEFAULT '[]';
    outcomes VARCHAR DEFAULT '[]';
    claim NUMBER(38, 0) DEFAULT 0;
    outcome_count NUMBER(38, 0) DEFAULT 0;
    skip_pod_check BOOLEAN DEFAULT TRUE;
    allowed_statuses VARCHAR DEFAULT '[]';
    changed NUMBER(38, 0) DEFAULT 0;
    claimed NUMBER(38, 0) DEFAULT 0;
BEGIN
    IF (sends_heartbeat) THEN
        {{send_heartbeat}};
    END IF;
    change_id := ({{served_by}});
    IF (change_id = '') THEN
        position := ({{request_position}});
        IF (position < 0 AND only_claims) THEN
            due := ({{count_due}});
        END IF;
        IF (position < 0 AND due > 0 AND number > 0) THEN
            {{post_request}};
            position := ({{request_position}});
        END IF;
    END IF;
    IF (change_id = '' AND position = 0) THEN
        change_id := new_change_id;
        BEGIN TRANSACTION;
        {{mark_requests}};
        requests := ({{served_requests}});
        outcomes := ({{served_outcomes}});
        claim := ({{served_claim}});
        outcome_count := ({{served_outcome_count}});
        IF (claim > 0 OR outcome_count > 0) THEN
            {{sync_steps}};
        END IF;
        COMMIT;
        change_id := ({{served_by}});
        due := 1;
    END IF;
    IF (change_id = '' AND due > 0) THEN
        LET waits RESULTSET := (SELECT FALSE AS is_served);
        RETURN TABLE(waits);
    END IF;
    LET answer RESULTSET := ({{after_sync}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
