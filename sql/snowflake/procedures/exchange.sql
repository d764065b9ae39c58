-- Post a request to the mailbox, unless it is there, and look whether it has been served: a pod's, or
-- a submission with its id as incarnation. If it is the oldest that waits, or has waited for long,
-- serve all that wait. Returns the pod's state if its request has been served or is a void join, or if
-- it only claims and no step is due; the result of a submission that was served; else one column.
CREATE OR REPLACE PROCEDURE {procedure}(
    pod_id VARCHAR,
    incarnation VARCHAR,
    number NUMBER(38, 0),
    posts BOOLEAN,
    is_posted BOOLEAN,
    patience NUMBER(38, 0),
    sends_heartbeat BOOLEAN,
    progress VARCHAR,
    transitions VARCHAR,
    joins BOOLEAN,
    own_request VARCHAR,
    routes VARCHAR,
    own_claim NUMBER(38, 0),
    own_outcomes VARCHAR,
    own_outcome_count NUMBER(38, 0),
    own_submissions VARCHAR,
    only_claims BOOLEAN,
    claim_token VARCHAR,
    may_be_limited BOOLEAN,
    most_bytes NUMBER(38, 0),
    new_change_id VARCHAR
)
{{procedure_options}}
AS
$$
DECLARE
    change_id VARCHAR DEFAULT '';
    position NUMBER(38, 0) DEFAULT -1;
    void NUMBER(38, 0) DEFAULT 0;
    due NUMBER(38, 0) DEFAULT 1;
    served NUMBER(38, 0) DEFAULT 0;
    join_count NUMBER(38, 0) DEFAULT 0;
    command_count NUMBER(38, 0) DEFAULT 0;
    requests VARCHAR DEFAULT '[]';
    claim NUMBER(38, 0) DEFAULT 0;
    outcomes VARCHAR DEFAULT '[]';
    outcome_count NUMBER(38, 0) DEFAULT 0;
    submissions VARCHAR DEFAULT '[]';
    skip_pod_check BOOLEAN DEFAULT TRUE;
    allowed_statuses VARCHAR DEFAULT '[]';
    changed NUMBER(38, 0) DEFAULT 0;
    claimed NUMBER(38, 0) DEFAULT 0;
    accepted VARCHAR DEFAULT '[]';
    submit_count NUMBER(38, 0) DEFAULT 0;
    replacing NUMBER(38, 0) DEFAULT 0;
    replaced NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    with_parents NUMBER(38, 0) DEFAULT 0;
    within_limits BOOLEAN DEFAULT FALSE;
BEGIN
    within_limits := may_be_limited;
    IF (sends_heartbeat) THEN
        {{send_heartbeat}};
    END IF;
    IF (progress <> '[]') THEN
        {{send_progress}};
    END IF;
    IF (is_posted) THEN
        change_id := ({{served_by}});
        IF (change_id = '') THEN
            position := ({{request_position}});
        END IF;
        IF (change_id = '' AND position < 0 AND joins) THEN
            void := ({{is_void}});
        END IF;
    END IF;
    IF (change_id = '' AND position < 0 AND void = 0 AND posts) THEN
        IF (only_claims) THEN
            due := ({{count_due}});
        END IF;
        IF (due > 0) THEN
            {{post_request}};
            position := ({{request_position}});
        END IF;
        IF (position < 0) THEN
            change_id := ({{served_by}});
        END IF;
    END IF;
    IF (change_id = '' AND position = 0) THEN
        change_id := new_change_id;
        {{serve_requests}};
        change_id := ({{served_by}});
        due := 1;
    END IF;
    IF (change_id = '' AND void = 0 AND due > 0) THEN
        LET waits RESULTSET := (SELECT FALSE AS is_served);
        RETURN TABLE(waits);
    END IF;
    IF (own_submissions <> '') THEN
        LET stored RESULTSET := ({{submission_result}});
        RETURN TABLE(stored);
    END IF;
    within_limits := TRUE;
    LET answer RESULTSET := ({{after_sync}});
    RETURN TABLE(answer);
{{roll_back_after_error}}
END
$$
