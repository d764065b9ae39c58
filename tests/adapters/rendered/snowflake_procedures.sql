-- Written by python -m tests.adapters.rendered; do not change it by hand.

-- snowflake/procedures/change
CREATE OR REPLACE PROCEDURE "FLEET_Q_CHANGE_11"(
    event_type VARCHAR,
    step_ids VARCHAR,
    step_count NUMBER(38, 0),
    all_or_none BOOLEAN,
    priority NUMBER(38, 0),
    sources VARCHAR,
    pod_id VARCHAR,
    earlier VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    done NUMBER(38, 0) DEFAULT 0;
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    is_ordered BOOLEAN DEFAULT TRUE;
BEGIN
    BEGIN TRANSACTION;
    IF (earlier <> '[]') THEN
        UPDATE "STEP_TRACKER"
        SET version = version
        WHERE step_id IN (
            SELECT value::VARCHAR
            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
        );
        UPDATE "STEP_EVENTS"
        SET version = version
        WHERE change_id IN (
            SELECT value::VARCHAR
            FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
        );
        done := SQLROWCOUNT;
    END IF;
    IF (done > 0) THEN
        LET existing RESULTSET := (SELECT step.step_id, step.status, step.priority, step.payload,
            step.retry_count, step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
            DATE_PART(epoch_microsecond, step.last_update_ts),
            DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
            step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
            step.task_type, step.key, step.unique_key,
            DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout,
            step.parents, step.workflow_id, step.spawned_by,
            DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint,
            step.progress
        FROM "STEP_TRACKER" AS step
        WHERE step.step_id IN (
            SELECT step_id
            FROM "STEP_EVENTS"
            WHERE change_id IN (
                SELECT value::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
            )
        ));
        ROLLBACK;
        RETURN TABLE(existing);
    END IF;
    UPDATE "STEP_TRACKER"
    SET
        status = CASE change.type
            WHEN 'claimed' THEN 'claimed'
            WHEN 'completed' THEN 'completed'
            WHEN 'retried' THEN 'pending'
            WHEN 'released' THEN 'pending'
            WHEN 'recovered' THEN 'pending'
            WHEN 'failed' THEN 'failed'
            WHEN 'cancelled' THEN 'cancelled'
            WHEN 'replayed' THEN 'pending'
            WHEN 'ready' THEN 'pending'
            WHEN 'parents_added' THEN 'waiting'
            WHEN 'restored' THEN 'waiting'
            WHEN 'snoozed' THEN 'pending'
            WHEN 'checkpointed' THEN 'claimed'
            WHEN 'replaced' THEN 'pending'
            WHEN 'reprioritized' THEN 'pending'
            WHEN 'rejected' THEN 'failed'
        END,
        priority = CASE
            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
            ELSE "STEP_TRACKER".priority
        END,
        payload = CASE
            WHEN change.type = 'replaced' THEN change.payload
            ELSE "STEP_TRACKER".payload
        END,
        retry_count = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
            ELSE "STEP_TRACKER".retry_count
        END,
        available_ts = CASE
            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
            ELSE "STEP_TRACKER".available_ts
        END,
        claimed_by = CASE
            WHEN change.type = 'claimed' THEN change.claimed_by
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claimed_by
        END,
        incarnation = CASE
            WHEN change.type = 'claimed' THEN change.incarnation
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".incarnation
        END,
        claim_token = CASE
            WHEN change.type = 'claimed' THEN change.claim_token
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claim_token
        END,
        result = CASE
            WHEN change.type = 'completed' THEN change.result
            ELSE "STEP_TRACKER".result
        END,
        error = CASE
            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
            WHEN change.type IN ('completed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".error
        END,
        traceback = CASE
            WHEN change.type IN ('retried', 'failed') THEN change.traceback
            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
            ELSE "STEP_TRACKER".traceback
        END,
        task_type = CASE
            WHEN change.type = 'replaced' THEN change.task_type
            ELSE "STEP_TRACKER".task_type
        END,
        labels = CASE
            WHEN change.type = 'replaced' THEN change.labels
            ELSE "STEP_TRACKER".labels
        END,
        parents = CASE
            WHEN change.type = 'parents_added' THEN change.parents
            ELSE "STEP_TRACKER".parents
        END,
        start_by_ts = CASE
            WHEN change.type = 'replaced' THEN change.start_by_ts
            WHEN change.type IN ('replayed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".start_by_ts
        END,
        snoozes = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
            ELSE "STEP_TRACKER".snoozes
        END,
        checkpoint = CASE
            WHEN change.type = 'checkpointed' THEN change.checkpoint
            WHEN change.type = 'replaced' THEN NULL
            ELSE "STEP_TRACKER".checkpoint
        END,
        last_update_ts = CURRENT_TIMESTAMP(),
        version = "STEP_TRACKER".version + 1,
        change_id = :change_id,
        change_type = change.type,
        change_token = change.claim_token,
        changed_for = change.pod_id
    FROM (
        SELECT
            step.step_id, step.version, :pod_id AS pod_id, :event_type AS type,
            :priority AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
            NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result,
            NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
            NULL AS start_by_ts, NULL AS checkpoint
        FROM "STEP_TRACKER" AS step
        JOIN (
            SELECT value::VARCHAR AS step_id
            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
        ) AS requested ON step.step_id = requested.step_id
        WHERE step.status IN (
            SELECT value::VARCHAR
            FROM TABLE(FLATTEN(input => PARSE_JSON(:sources)))
        )
            AND (:event_type <> 'reprioritized' OR step.priority <> :priority)
            AND (:event_type <> 'replayed' OR step.parents IS NULL)
    ) AS change
    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
    changed := SQLROWCOUNT;
    IF (changed < step_count AND all_or_none) THEN
        UPDATE "STEP_TRACKER"
        SET
            status = CASE change.type
                WHEN 'claimed' THEN 'claimed'
                WHEN 'completed' THEN 'completed'
                WHEN 'retried' THEN 'pending'
                WHEN 'released' THEN 'pending'
                WHEN 'recovered' THEN 'pending'
                WHEN 'failed' THEN 'failed'
                WHEN 'cancelled' THEN 'cancelled'
                WHEN 'replayed' THEN 'pending'
                WHEN 'ready' THEN 'pending'
                WHEN 'parents_added' THEN 'waiting'
                WHEN 'restored' THEN 'waiting'
                WHEN 'snoozed' THEN 'pending'
                WHEN 'checkpointed' THEN 'claimed'
                WHEN 'replaced' THEN 'pending'
                WHEN 'reprioritized' THEN 'pending'
                WHEN 'rejected' THEN 'failed'
            END,
            priority = CASE
                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                ELSE "STEP_TRACKER".priority
            END,
            payload = CASE
                WHEN change.type = 'replaced' THEN change.payload
                ELSE "STEP_TRACKER".payload
            END,
            retry_count = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                ELSE "STEP_TRACKER".retry_count
            END,
            available_ts = CASE
                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                ELSE "STEP_TRACKER".available_ts
            END,
            claimed_by = CASE
                WHEN change.type = 'claimed' THEN change.claimed_by
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claimed_by
            END,
            incarnation = CASE
                WHEN change.type = 'claimed' THEN change.incarnation
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".incarnation
            END,
            claim_token = CASE
                WHEN change.type = 'claimed' THEN change.claim_token
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claim_token
            END,
            result = CASE
                WHEN change.type = 'completed' THEN change.result
                ELSE "STEP_TRACKER".result
            END,
            error = CASE
                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                WHEN change.type IN ('completed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".error
            END,
            traceback = CASE
                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                ELSE "STEP_TRACKER".traceback
            END,
            task_type = CASE
                WHEN change.type = 'replaced' THEN change.task_type
                ELSE "STEP_TRACKER".task_type
            END,
            labels = CASE
                WHEN change.type = 'replaced' THEN change.labels
                ELSE "STEP_TRACKER".labels
            END,
            parents = CASE
                WHEN change.type = 'parents_added' THEN change.parents
                ELSE "STEP_TRACKER".parents
            END,
            start_by_ts = CASE
                WHEN change.type = 'replaced' THEN change.start_by_ts
                WHEN change.type IN ('replayed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".start_by_ts
            END,
            snoozes = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                ELSE "STEP_TRACKER".snoozes
            END,
            checkpoint = CASE
                WHEN change.type = 'checkpointed' THEN change.checkpoint
                WHEN change.type = 'replaced' THEN NULL
                ELSE "STEP_TRACKER".checkpoint
            END,
            last_update_ts = CURRENT_TIMESTAMP(),
            version = "STEP_TRACKER".version + 1,
            change_id = :change_id,
            change_type = change.type,
            change_token = change.claim_token,
            changed_for = change.pod_id
        FROM (
            SELECT
                step.step_id, step.version, :pod_id AS pod_id, :event_type AS type,
                :priority AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result,
                NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
            FROM "STEP_TRACKER" AS step
            JOIN (
                SELECT value::VARCHAR AS step_id
                FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
            ) AS requested ON step.step_id = requested.step_id
            WHERE step.status IN (
                SELECT value::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:sources)))
            )
                AND (:event_type <> 'reprioritized' OR step.priority <> :priority)
                AND (:event_type <> 'replayed' OR step.parents IS NULL)
        ) AS change
        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
        more := SQLROWCOUNT;
        changed := (SELECT :changed + :more);
    END IF;
    IF (event_type = 'replayed' AND changed < step_count) THEN
        more := 1;
        FOR level IN 1 TO 20 DO
            IF (more > 0) THEN
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id,
                    change_type = change.type,
                    change_token = change.claim_token,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        step_id, version, :pod_id AS pod_id,
                        CASE WHEN open_parents > 0 THEN 'restored' ELSE 'replayed' END AS type,
                        NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                        NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                        NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type,
                        NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                    FROM (
                        SELECT
                            parent.step_id, parent.version,
                            COUNT(CASE WHEN parent.is_open THEN 1 END) AS open_parents,
                            COUNT(CASE WHEN parent.is_lost THEN 1 END) AS lost_parents,
                            COUNT(
                                CASE
                                    WHEN parent.parent_status IN ('failed', 'cancelled')
                                        AND other.step_id IS NOT NULL
                                        THEN 1
                                END
                            ) AS parents_to_replay
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        JOIN (
                            SELECT value::VARCHAR AS step_id
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
                        ) AS requested ON requested.step_id = parent.step_id
                        LEFT JOIN (
                            SELECT value::VARCHAR AS step_id
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
                        ) AS other ON other.step_id = parent.parent_id
                        WHERE parent.status IN ('failed', 'cancelled')
                        GROUP BY parent.step_id, parent.version
                    ) AS child
                    WHERE lost_parents = 0 AND (parents_to_replay = 0 OR NOT :is_ordered)
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                more := SQLROWCOUNT;
                changed := (SELECT :changed + :more);
            END IF;
        END FOR;
        IF (changed < step_count) THEN
            is_ordered := FALSE;
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id,
                change_type = change.type,
                change_token = change.claim_token,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, :pod_id AS pod_id,
                    CASE WHEN open_parents > 0 THEN 'restored' ELSE 'replayed' END AS type,
                    NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                    NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result,
                    NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        parent.step_id, parent.version,
                        COUNT(CASE WHEN parent.is_open THEN 1 END) AS open_parents,
                        COUNT(CASE WHEN parent.is_lost THEN 1 END) AS lost_parents,
                        COUNT(
                            CASE
                                WHEN parent.parent_status IN ('failed', 'cancelled')
                                    AND other.step_id IS NOT NULL
                                    THEN 1
                            END
                        ) AS parents_to_replay
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    JOIN (
                        SELECT value::VARCHAR AS step_id
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
                    ) AS requested ON requested.step_id = parent.step_id
                    LEFT JOIN (
                        SELECT value::VARCHAR AS step_id
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
                    ) AS other ON other.step_id = parent.parent_id
                    WHERE parent.status IN ('failed', 'cancelled')
                    GROUP BY parent.step_id, parent.version
                ) AS child
                WHERE lost_parents = 0 AND (parents_to_replay = 0 OR NOT :is_ordered)
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            more := SQLROWCOUNT;
            changed := (SELECT :changed + :more);
        END IF;
    END IF;
    IF (changed = step_count OR NOT all_or_none) THEN
        INSERT INTO "STEP_EVENTS" (
            step_id, version, type, event_ts, pod_id, change_id,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
            claim_token, incarnation, result, error, traceback, checkpoint
        )
        SELECT
            step_id, version, change_type, last_update_ts, changed_for, change_id,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
            CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                THEN priority END,
            CASE WHEN change_type = 'submitted' THEN max_retries END,
            CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                THEN available_ts END,
            CASE WHEN change_type = 'submitted' THEN queue END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
            CASE WHEN change_type = 'submitted' THEN key END,
            CASE WHEN change_type = 'submitted' THEN unique_key END,
            CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
            CASE WHEN change_type = 'submitted' THEN timeout END,
            CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
            CASE WHEN change_type = 'submitted' THEN workflow_id END,
            CASE WHEN change_type = 'submitted' THEN spawned_by END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END, change_token,
            CASE WHEN change_type = 'claimed' THEN incarnation END,
            CASE WHEN change_type = 'completed' THEN result END,
            CASE
                WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                    OR (change_type = 'cancelled'
                        AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                    THEN error
            END,
            CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
            CASE WHEN change_type = 'checkpointed' THEN checkpoint END
        FROM "STEP_TRACKER"
        WHERE change_id = :change_id
            AND (
                :event_type = 'reprioritized'
                OR NOT EXISTS (SELECT 1 FROM "STEP_TRACKER" AS other WHERE other.parents IS NOT NULL)
            );
        appended := SQLROWCOUNT;
        IF (appended < changed) THEN
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id;
            IF (event_type = 'replayed') THEN
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id || ' settled',
                    change_type = change.type,
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT step_id, version, :pod_id AS pod_id, 'restored' AS type, NULL AS priority,
                        NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                        NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error,
                        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                        NULL AS start_by_ts, NULL AS checkpoint
                    FROM (
                        SELECT
                            step_id, version,
                            COUNT(
                                CASE
                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
                                END
                            ) AS parents_back,
                            COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
                        FROM (
                            SELECT
                                parent.*,
                                kind = 'success'
                                    AND error IN (
                                        'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                                    ) AS is_named
                            FROM (
                                SELECT
                                    edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                    edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                    parent.changed_for AS parent_changed_for,
                                    COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                    COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                FROM (
                                    SELECT
                                        child.step_id, child.version, child.status, child.error, child.changed_for,
                                        one.key AS parent_id, one.value::VARCHAR AS kind
                                    FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                    WHERE child.parents IS NOT NULL
                                ) AS edge
                                LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                            ) AS parent
                            WHERE status = 'cancelled' AND error LIKE 'parent %'
                        ) AS edge
                        GROUP BY step_id, version
                        HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
                    ) AS fallen
                    WHERE parents_back > 0
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                more := SQLROWCOUNT;
                IF (more > 0) THEN
                    FOR level IN 2 TO 20 DO
                        IF (more > 0) THEN
                            UPDATE "STEP_TRACKER"
                            SET
                                status = CASE change.type
                                    WHEN 'claimed' THEN 'claimed'
                                    WHEN 'completed' THEN 'completed'
                                    WHEN 'retried' THEN 'pending'
                                    WHEN 'released' THEN 'pending'
                                    WHEN 'recovered' THEN 'pending'
                                    WHEN 'failed' THEN 'failed'
                                    WHEN 'cancelled' THEN 'cancelled'
                                    WHEN 'replayed' THEN 'pending'
                                    WHEN 'ready' THEN 'pending'
                                    WHEN 'parents_added' THEN 'waiting'
                                    WHEN 'restored' THEN 'waiting'
                                    WHEN 'snoozed' THEN 'pending'
                                    WHEN 'checkpointed' THEN 'claimed'
                                    WHEN 'replaced' THEN 'pending'
                                    WHEN 'reprioritized' THEN 'pending'
                                    WHEN 'rejected' THEN 'failed'
                                END,
                                priority = CASE
                                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                    ELSE "STEP_TRACKER".priority
                                END,
                                payload = CASE
                                    WHEN change.type = 'replaced' THEN change.payload
                                    ELSE "STEP_TRACKER".payload
                                END,
                                retry_count = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                    ELSE "STEP_TRACKER".retry_count
                                END,
                                available_ts = CASE
                                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                    ELSE "STEP_TRACKER".available_ts
                                END,
                                claimed_by = CASE
                                    WHEN change.type = 'claimed' THEN change.claimed_by
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claimed_by
                                END,
                                incarnation = CASE
                                    WHEN change.type = 'claimed' THEN change.incarnation
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".incarnation
                                END,
                                claim_token = CASE
                                    WHEN change.type = 'claimed' THEN change.claim_token
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claim_token
                                END,
                                result = CASE
                                    WHEN change.type = 'completed' THEN change.result
                                    ELSE "STEP_TRACKER".result
                                END,
                                error = CASE
                                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                    WHEN change.type IN ('completed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".error
                                END,
                                traceback = CASE
                                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".traceback
                                END,
                                task_type = CASE
                                    WHEN change.type = 'replaced' THEN change.task_type
                                    ELSE "STEP_TRACKER".task_type
                                END,
                                labels = CASE
                                    WHEN change.type = 'replaced' THEN change.labels
                                    ELSE "STEP_TRACKER".labels
                                END,
                                parents = CASE
                                    WHEN change.type = 'parents_added' THEN change.parents
                                    ELSE "STEP_TRACKER".parents
                                END,
                                start_by_ts = CASE
                                    WHEN change.type = 'replaced' THEN change.start_by_ts
                                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".start_by_ts
                                END,
                                snoozes = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                    ELSE "STEP_TRACKER".snoozes
                                END,
                                checkpoint = CASE
                                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                                    WHEN change.type = 'replaced' THEN NULL
                                    ELSE "STEP_TRACKER".checkpoint
                                END,
                                last_update_ts = CURRENT_TIMESTAMP(),
                                version = "STEP_TRACKER".version + 1,
                                change_id = :change_id || ' settled',
                                change_type = change.type,
                                change_token = NULL,
                                changed_for = change.pod_id
                            FROM (
                                SELECT step_id, version, :pod_id AS pod_id, 'restored' AS type, NULL AS priority,
                                    NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                                    NULL AS incarnation, NULL AS claim_token, NULL AS result,
                                    NULL AS error, NULL AS traceback, NULL AS task_type,
                                    NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                                    NULL AS checkpoint
                                FROM (
                                    SELECT
                                        step_id, version,
                                        COUNT(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
                                            END
                                        ) AS parents_back,
                                        COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
                                    FROM (
                                        SELECT
                                            parent.*,
                                            kind = 'success'
                                                AND error IN (
                                                    'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                                                ) AS is_named
                                        FROM (
                                            SELECT
                                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                                parent.changed_for AS parent_changed_for,
                                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                            FROM (
                                                SELECT
                                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                                WHERE child.parents IS NOT NULL
                                            ) AS edge
                                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                        ) AS parent
                                        WHERE status = 'cancelled' AND error LIKE 'parent %'
                                    ) AS edge
                                    GROUP BY step_id, version
                                    HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
                                ) AS fallen
                                WHERE parents_back > 0
                            ) AS change
                            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                            more := SQLROWCOUNT;
                        END IF;
                    END FOR;
                    INSERT INTO "STEP_EVENTS" (
                        step_id, version, type, event_ts, pod_id, change_id,
                        payload, priority, max_retries, available_ts, queue, task_type, key,
                        unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                        spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
                        checkpoint
                    )
                    SELECT
                        step_id, version, change_type, last_update_ts, changed_for, change_id,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                        CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                            THEN priority END,
                        CASE WHEN change_type = 'submitted' THEN max_retries END,
                        CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                            THEN available_ts END,
                        CASE WHEN change_type = 'submitted' THEN queue END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                        CASE WHEN change_type = 'submitted' THEN key END,
                        CASE WHEN change_type = 'submitted' THEN unique_key END,
                        CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                        CASE WHEN change_type = 'submitted' THEN timeout END,
                        CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                        CASE WHEN change_type = 'submitted' THEN workflow_id END,
                        CASE WHEN change_type = 'submitted' THEN spawned_by END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                        change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                        CASE WHEN change_type = 'completed' THEN result END,
                        CASE
                            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                OR (change_type = 'cancelled'
                                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                THEN error
                        END,
                        CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                        CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id || ' settled';
                END IF;
            ELSE
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE status = 'waiting'
                    AND step_id IN (
                        SELECT parent.step_id
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE parent.parent_change_id = :change_id
                    );
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id || ' settled',
                    change_type = change.type,
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        step_id, version, pod_id,
                        CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                        NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                        NULL AS incarnation, NULL AS claim_token, NULL AS result,
                        CASE
                            WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                            WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                        END AS error,
                        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                        NULL AS start_by_ts, NULL AS checkpoint
                    FROM (
                        SELECT
                            step_id, version,
                            COALESCE(
                                MAX(
                                    CASE
                                        WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                            THEN parent_changed_for
                                    END
                                ),
                                MAX(changed_for)
                            ) AS pod_id,
                            COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                            COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                            MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                            MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                AS cancelled_parent
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE status = 'waiting'
                        GROUP BY step_id, version
                    ) AS child
                    WHERE open_parents = 0 OR lost_parents > 0
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                more := SQLROWCOUNT;
                IF (more > 0) THEN
                    FOR level IN 2 TO 20 DO
                        IF (more > 0) THEN
                            UPDATE "STEP_TRACKER"
                            SET
                                status = CASE change.type
                                    WHEN 'claimed' THEN 'claimed'
                                    WHEN 'completed' THEN 'completed'
                                    WHEN 'retried' THEN 'pending'
                                    WHEN 'released' THEN 'pending'
                                    WHEN 'recovered' THEN 'pending'
                                    WHEN 'failed' THEN 'failed'
                                    WHEN 'cancelled' THEN 'cancelled'
                                    WHEN 'replayed' THEN 'pending'
                                    WHEN 'ready' THEN 'pending'
                                    WHEN 'parents_added' THEN 'waiting'
                                    WHEN 'restored' THEN 'waiting'
                                    WHEN 'snoozed' THEN 'pending'
                                    WHEN 'checkpointed' THEN 'claimed'
                                    WHEN 'replaced' THEN 'pending'
                                    WHEN 'reprioritized' THEN 'pending'
                                    WHEN 'rejected' THEN 'failed'
                                END,
                                priority = CASE
                                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                    ELSE "STEP_TRACKER".priority
                                END,
                                payload = CASE
                                    WHEN change.type = 'replaced' THEN change.payload
                                    ELSE "STEP_TRACKER".payload
                                END,
                                retry_count = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                    ELSE "STEP_TRACKER".retry_count
                                END,
                                available_ts = CASE
                                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                    ELSE "STEP_TRACKER".available_ts
                                END,
                                claimed_by = CASE
                                    WHEN change.type = 'claimed' THEN change.claimed_by
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claimed_by
                                END,
                                incarnation = CASE
                                    WHEN change.type = 'claimed' THEN change.incarnation
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".incarnation
                                END,
                                claim_token = CASE
                                    WHEN change.type = 'claimed' THEN change.claim_token
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claim_token
                                END,
                                result = CASE
                                    WHEN change.type = 'completed' THEN change.result
                                    ELSE "STEP_TRACKER".result
                                END,
                                error = CASE
                                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                    WHEN change.type IN ('completed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".error
                                END,
                                traceback = CASE
                                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".traceback
                                END,
                                task_type = CASE
                                    WHEN change.type = 'replaced' THEN change.task_type
                                    ELSE "STEP_TRACKER".task_type
                                END,
                                labels = CASE
                                    WHEN change.type = 'replaced' THEN change.labels
                                    ELSE "STEP_TRACKER".labels
                                END,
                                parents = CASE
                                    WHEN change.type = 'parents_added' THEN change.parents
                                    ELSE "STEP_TRACKER".parents
                                END,
                                start_by_ts = CASE
                                    WHEN change.type = 'replaced' THEN change.start_by_ts
                                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".start_by_ts
                                END,
                                snoozes = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                    ELSE "STEP_TRACKER".snoozes
                                END,
                                checkpoint = CASE
                                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                                    WHEN change.type = 'replaced' THEN NULL
                                    ELSE "STEP_TRACKER".checkpoint
                                END,
                                last_update_ts = CURRENT_TIMESTAMP(),
                                version = "STEP_TRACKER".version + 1,
                                change_id = :change_id || ' settled',
                                change_type = change.type,
                                change_token = NULL,
                                changed_for = change.pod_id
                            FROM (
                                SELECT
                                    step_id, version, pod_id,
                                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                    NULL AS priority, NULL AS payload, NULL AS available_ts,
                                    NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                    NULL AS result,
                                    CASE
                                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                    END AS error,
                                    NULL AS traceback, NULL AS task_type, NULL AS labels,
                                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                                FROM (
                                    SELECT
                                        step_id, version,
                                        COALESCE(
                                            MAX(
                                                CASE
                                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                        THEN parent_changed_for
                                                END
                                            ),
                                            MAX(changed_for)
                                        ) AS pod_id,
                                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                            AS cancelled_parent
                                    FROM (
                                        SELECT
                                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                            parent.changed_for AS parent_changed_for,
                                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                        FROM (
                                            SELECT
                                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                                one.key AS parent_id, one.value::VARCHAR AS kind
                                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                            WHERE child.parents IS NOT NULL
                                        ) AS edge
                                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                    ) AS parent
                                    WHERE status = 'waiting'
                                    GROUP BY step_id, version
                                ) AS child
                                WHERE open_parents = 0 OR lost_parents > 0
                            ) AS change
                            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                            more := SQLROWCOUNT;
                        END IF;
                    END FOR;
                    INSERT INTO "STEP_EVENTS" (
                        step_id, version, type, event_ts, pod_id, change_id,
                        payload, priority, max_retries, available_ts, queue, task_type, key,
                        unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                        spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
                        checkpoint
                    )
                    SELECT
                        step_id, version, change_type, last_update_ts, changed_for, change_id,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                        CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                            THEN priority END,
                        CASE WHEN change_type = 'submitted' THEN max_retries END,
                        CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                            THEN available_ts END,
                        CASE WHEN change_type = 'submitted' THEN queue END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                        CASE WHEN change_type = 'submitted' THEN key END,
                        CASE WHEN change_type = 'submitted' THEN unique_key END,
                        CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                        CASE WHEN change_type = 'submitted' THEN timeout END,
                        CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                        CASE WHEN change_type = 'submitted' THEN workflow_id END,
                        CASE WHEN change_type = 'submitted' THEN spawned_by END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                        change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                        CASE WHEN change_type = 'completed' THEN result END,
                        CASE
                            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                OR (change_type = 'cancelled'
                                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                THEN error
                        END,
                        CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                        CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id || ' settled';
                END IF;
            END IF;
        END IF;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT step.step_id, step.status, step.priority, step.payload,
        step.retry_count, step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM "STEP_TRACKER" AS step
    WHERE step.step_id IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id));
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/confirm
CREATE OR REPLACE PROCEDURE "FLEET_Q_CONFIRM_11"(
    pod_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
BEGIN
    BEGIN TRANSACTION;
    UPDATE "STEP_TRACKER"
    SET version = version
    WHERE status = 'claimed' AND claimed_by = :pod_id;
    UPDATE "POD_HEALTH" SET version = version WHERE pod_id = :pod_id;
    LET answer RESULTSET := (SELECT
        pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
        DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version,
        pod.description,
        NULL AS step_id, NULL AS claim_token
    FROM (
        SELECT
            pod_id, status, birth_ts,
            GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts,
            incarnation, version, description
        FROM "POD_HEALTH"
        LEFT JOIN (
            SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest ON sender_id = pod_id AND sent_by = incarnation
    ) AS pod
    WHERE pod.pod_id = :pod_id
    UNION ALL
    SELECT
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        step_id, claim_token
    FROM "STEP_TRACKER"
    WHERE status = 'claimed' AND claimed_by = :pod_id);
    ROLLBACK;
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/declare_dead
CREATE OR REPLACE PROCEDURE "FLEET_Q_DECLARE_DEAD_11"(
    silent VARCHAR,
    becomes VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    declared NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "POD_HEALTH"
    SET status = change.becomes, version = "POD_HEALTH".version + 1, change_id = :change_id,
        change_type = 'declared_dead'
    FROM (
        SELECT pod.pod_id, pod.incarnation, pod.version, pair.becomes
        FROM (
            SELECT
                value[0]::VARCHAR AS pod_id, value[1]::VARCHAR AS incarnation,
                value[2]::NUMBER(38, 0) AS version,
                TO_TIMESTAMP_LTZ(value[3]::NUMBER(38, 0), 6) AS last_heartbeat_ts
            FROM TABLE(FLATTEN(input => PARSE_JSON(:silent)))
        ) AS observed
        JOIN (
            SELECT
                pod_id, status, birth_ts,
                GREATEST(
                    last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
                ) AS last_heartbeat_ts,
                incarnation, version, description
            FROM "POD_HEALTH"
            LEFT JOIN (
                SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
                FROM "POD_HEARTBEATS"
                GROUP BY pod_id, incarnation
            ) AS latest ON sender_id = pod_id AND sent_by = incarnation
        ) AS pod
            ON pod.pod_id = observed.pod_id AND pod.incarnation = observed.incarnation
                AND pod.version = observed.version
                AND pod.last_heartbeat_ts = observed.last_heartbeat_ts
        JOIN (
            SELECT value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes
            FROM TABLE(FLATTEN(input => PARSE_JSON(:becomes)))
        ) AS pair ON pair.was = pod.status
    ) AS change
    WHERE "POD_HEALTH".pod_id = change.pod_id AND "POD_HEALTH".incarnation = change.incarnation
        AND "POD_HEALTH".version = change.version;
    declared := SQLROWCOUNT;
    IF (declared > 0) THEN
        INSERT INTO "POD_EVENTS" (
            pod_id, version, type, event_ts, by_pod_id, incarnation, description, change_id
        )
        SELECT
            pod_id, version, change_type,
            CASE WHEN change_type = 'joined' THEN birth_ts ELSE CURRENT_TIMESTAMP() END,
            CASE WHEN change_type = 'declared_dead' THEN :pod_id ELSE pod_id END, incarnation,
            CASE WHEN change_type = 'joined' THEN description END, change_id
        FROM "POD_HEALTH"
        WHERE change_id = :change_id AND change_type <> '';
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT pod.pod_id, pod.status,
        DATE_PART(epoch_microsecond, pod.birth_ts),
        DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version,
        pod.description
    FROM (
        SELECT
            pod_id, status, birth_ts,
            GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts,
            incarnation, version, description
        FROM "POD_HEALTH"
        LEFT JOIN (
            SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest ON sender_id = pod_id AND sent_by = incarnation
    ) AS pod
    WHERE pod.pod_id IN (SELECT pod_id FROM "POD_EVENTS" WHERE change_id = :change_id)
    ORDER BY pod.pod_id);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/exchange
CREATE OR REPLACE PROCEDURE "FLEET_Q_EXCHANGE_11"(
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
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
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
        INSERT INTO "POD_HEARTBEATS" (pod_id, incarnation, heartbeat_ts)
        SELECT pod_id, incarnation,
            GREATEST(CURRENT_TIMESTAMP(), DATEADD(microsecond, 1, last_heartbeat_ts))
        FROM (
            SELECT
                pod_id, status, birth_ts,
                GREATEST(
                    last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
                ) AS last_heartbeat_ts,
                incarnation, version, description
            FROM "POD_HEALTH"
            LEFT JOIN (
                SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
                FROM "POD_HEARTBEATS"
                GROUP BY pod_id, incarnation
            ) AS latest ON sender_id = pod_id AND sent_by = incarnation
        ) AS pod
        WHERE pod_id = :pod_id AND incarnation = :incarnation
            AND status IN (
                SELECT value[0]::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
                WHERE value[2]::VARCHAR = ''
            );
    END IF;
    IF (progress <> '[]') THEN
        INSERT INTO "STEP_PROGRESS" (step_id, claim_token, progress, reported_ts)
        SELECT value[0]::VARCHAR, value[1]::VARCHAR, value[2]::VARCHAR, CURRENT_TIMESTAMP()
        FROM TABLE(FLATTEN(input => PARSE_JSON(:progress)));
    END IF;
    IF (is_posted) THEN
        change_id := (SELECT COALESCE(MAX(change_id), '')
        FROM (
            SELECT change_id
            FROM "SYNC_REQUESTS"
            WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number
                AND change_id IS NOT NULL
            ORDER BY sent_ts
            LIMIT 1
        ) AS earliest);
        IF (change_id = '') THEN
            position := (SELECT
                CASE
                    WHEN COUNT(own.number) = 0 THEN -1
                    WHEN DATEDIFF(microsecond, MAX(own.sent_ts), CURRENT_TIMESTAMP())
                        >= :patience * COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
                        THEN 0
                    ELSE COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
                END AS position
            FROM (
                SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
                FROM (
                    SELECT
                        pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                        MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                        MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                        MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                        MAX(claim) AS claim, MAX(routes) AS routes,
                        MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                        MAX(outcome_count) AS outcome_count,
                        MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                        (
                            number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                            OR (
                                joins
                                AND ROW_NUMBER() OVER (
                                    PARTITION BY pod_id, joins
                                    ORDER BY
                                        MIN(sent_ts) DESC,
                                        CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                        incarnation DESC
                                ) > 1
                            )
                        ) AS is_void
                    FROM "SYNC_REQUESTS"
                    WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                    GROUP BY pod_id, incarnation, number, joins
                ) AS posted
                WHERE last_change IS NULL AND NOT is_void
                    AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
            ) AS waiting
            LEFT JOIN (
                SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
                FROM (
                    SELECT
                        pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                        MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                        MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                        MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                        MAX(claim) AS claim, MAX(routes) AS routes,
                        MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                        MAX(outcome_count) AS outcome_count,
                        MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                        (
                            number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                            OR (
                                joins
                                AND ROW_NUMBER() OVER (
                                    PARTITION BY pod_id, joins
                                    ORDER BY
                                        MIN(sent_ts) DESC,
                                        CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                        incarnation DESC
                                ) > 1
                            )
                        ) AS is_void
                    FROM "SYNC_REQUESTS"
                    WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                    GROUP BY pod_id, incarnation, number, joins
                ) AS posted
                WHERE last_change IS NULL AND NOT is_void
                    AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
            ) AS own
                ON own.pod_id = :pod_id AND own.incarnation = :incarnation AND own.number = :number);
        END IF;
        IF (change_id = '' AND position < 0 AND joins) THEN
            void := (SELECT COUNT(*)
            FROM (
                SELECT
                    pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                    MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                    MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                    MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                    MAX(claim) AS claim, MAX(routes) AS routes,
                    MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                    MAX(outcome_count) AS outcome_count,
                    MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                    (
                        number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                        OR (
                            joins
                            AND ROW_NUMBER() OVER (
                                PARTITION BY pod_id, joins
                                ORDER BY
                                    MIN(sent_ts) DESC,
                                    CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                    incarnation DESC
                            ) > 1
                        )
                    ) AS is_void
                FROM "SYNC_REQUESTS"
                WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                GROUP BY pod_id, incarnation, number, joins
            ) AS posted
            WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number AND is_void);
        END IF;
    END IF;
    IF (change_id = '' AND position < 0 AND void = 0 AND posts) THEN
        IF (only_claims) THEN
            due := (SELECT COUNT(*)
            FROM (
                SELECT 1 AS one
                FROM (
                    SELECT
                        step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                        retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                    FROM "STEP_TRACKER"
                    WHERE status = 'pending'
                        AND (
                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                        )
                        AND NOT (
                            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                            AND COALESCE(snoozes, 0) = 0
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                            OR queue IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                            )
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                            OR task_type IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                            )
                        )
                        AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                        ))
                    UNION ALL
                    SELECT
                        step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                    FROM (
                        SELECT
                            step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                            ROW_NUMBER() OVER (
                                PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                            ) AS place_in_queue
                        FROM (
                            SELECT
                                step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                OCTET_LENGTH(step.payload) AS size, limited.room,
                                limited.max_running_per_key AS per_key,
                                COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                ROW_NUMBER() OVER (
                                    PARTITION BY step.queue, step.key
                                    ORDER BY step.priority DESC, step.created_ts, step.step_id
                                ) AS place_of_key
                            FROM (
                                SELECT *
                                FROM "STEP_TRACKER"
                                WHERE status = 'pending'
                                    AND (
                                        available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                        OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                    )
                                    AND NOT (
                                        start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                        AND COALESCE(snoozes, 0) = 0
                                    )
                                    AND (
                                        GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                        OR queue IN (
                                            SELECT value::VARCHAR
                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                        )
                                    )
                                    AND (
                                        GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                        OR task_type IN (
                                            SELECT value::VARCHAR
                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                        )
                                    )
                                    AND :within_limits
                            ) AS step
                            JOIN (
                                SELECT
                                    queue, max_running_per_key,
                                    CASE
                                        WHEN paused THEN 0
                                        ELSE LEAST(
                                            COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                            COALESCE(
                                                CASE
                                                    WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                        THEN SIGN(rate_period)
                                                    ELSE FLOOR(LEAST(
                                                        tokens + rate_count * LEAST(
                                                            GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                        ),
                                                        rate_count * rate_period
                                                    ) / rate_period)
                                                END,
                                                1000000000
                                            )
                                        )
                                    END AS room
                                FROM "QUEUES"
                                LEFT JOIN (
                                    SELECT queue AS running_in, COUNT(*) AS claimed
                                    FROM (
                                        SELECT held.queue, held.key
                                        FROM "STEP_TRACKER" AS held
                                        LEFT JOIN (
                                            SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                        ) AS ended
                                            ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                        WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                    ) AS held
                                    GROUP BY queue
                                ) AS running ON running_in = queue
                                WHERE (
                                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                )
                            ) AS limited ON limited.queue = step.queue AND limited.room > 0
                            LEFT JOIN (
                                SELECT queue, key, COUNT(*) AS claimed
                                FROM (
                                    SELECT held.queue, held.key
                                    FROM "STEP_TRACKER" AS held
                                    LEFT JOIN (
                                        SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                    ) AS ended
                                        ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                    WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                ) AS held
                                GROUP BY queue, key
                            ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                        ) AS candidate
                        WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                    ) AS candidate_of_queue
                    WHERE place_in_queue <= room
                ) AS claimable
                LIMIT 1
            ) AS due);
        END IF;
        IF (due > 0) THEN
            INSERT INTO "SYNC_REQUESTS" (
                pod_id, incarnation, number, sent_ts, request, claim, outcomes, outcome_count, joins,
                submissions, routes
            )
            SELECT
                :pod_id, :incarnation, :number, CURRENT_TIMESTAMP(), :own_request, :own_claim, :own_outcomes,
                :own_outcome_count, :joins, :own_submissions, :routes;
            position := (SELECT
                CASE
                    WHEN COUNT(own.number) = 0 THEN -1
                    WHEN DATEDIFF(microsecond, MAX(own.sent_ts), CURRENT_TIMESTAMP())
                        >= :patience * COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
                        THEN 0
                    ELSE COUNT(CASE WHEN waiting.sent_ts < own.sent_ts THEN 1 END)
                END AS position
            FROM (
                SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
                FROM (
                    SELECT
                        pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                        MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                        MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                        MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                        MAX(claim) AS claim, MAX(routes) AS routes,
                        MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                        MAX(outcome_count) AS outcome_count,
                        MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                        (
                            number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                            OR (
                                joins
                                AND ROW_NUMBER() OVER (
                                    PARTITION BY pod_id, joins
                                    ORDER BY
                                        MIN(sent_ts) DESC,
                                        CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                        incarnation DESC
                                ) > 1
                            )
                        ) AS is_void
                    FROM "SYNC_REQUESTS"
                    WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                    GROUP BY pod_id, incarnation, number, joins
                ) AS posted
                WHERE last_change IS NULL AND NOT is_void
                    AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
            ) AS waiting
            LEFT JOIN (
                SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
                FROM (
                    SELECT
                        pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                        MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                        MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                        MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                        MAX(claim) AS claim, MAX(routes) AS routes,
                        MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                        MAX(outcome_count) AS outcome_count,
                        MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                        (
                            number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                            OR (
                                joins
                                AND ROW_NUMBER() OVER (
                                    PARTITION BY pod_id, joins
                                    ORDER BY
                                        MIN(sent_ts) DESC,
                                        CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                        incarnation DESC
                                ) > 1
                            )
                        ) AS is_void
                    FROM "SYNC_REQUESTS"
                    WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                    GROUP BY pod_id, incarnation, number, joins
                ) AS posted
                WHERE last_change IS NULL AND NOT is_void
                    AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
            ) AS own
                ON own.pod_id = :pod_id AND own.incarnation = :incarnation AND own.number = :number);
        END IF;
        IF (position < 0) THEN
            change_id := (SELECT COALESCE(MAX(change_id), '')
            FROM (
                SELECT change_id
                FROM "SYNC_REQUESTS"
                WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number
                    AND change_id IS NOT NULL
                ORDER BY sent_ts
                LIMIT 1
            ) AS earliest);
        END IF;
    END IF;
    IF (change_id = '' AND position = 0) THEN
        change_id := new_change_id;
        BEGIN TRANSACTION;
        UPDATE "SYNC_REQUESTS"
        SET change_id = :change_id
        FROM (
            SELECT pod_id, incarnation, number
            FROM (
                SELECT
                    pod_id, incarnation, number,
                    ROW_NUMBER() OVER (ORDER BY sent_ts, incarnation) AS place,
                    SUM(size) OVER (
                        ORDER BY sent_ts, incarnation ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    ) AS bytes
                FROM (
                    SELECT pod_id, incarnation, number, sent_ts, size, claim, routes
                    FROM (
                        SELECT
                            pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                            MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                            MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                            MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                            MAX(claim) AS claim, MAX(routes) AS routes,
                            MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                            MAX(outcome_count) AS outcome_count,
                            MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                            (
                                number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                                OR (
                                    joins
                                    AND ROW_NUMBER() OVER (
                                        PARTITION BY pod_id, joins
                                        ORDER BY
                                            MIN(sent_ts) DESC,
                                            CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                            incarnation DESC
                                    ) > 1
                                )
                            ) AS is_void
                        FROM "SYNC_REQUESTS"
                        WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                        GROUP BY pod_id, incarnation, number, joins
                    ) AS posted
                    WHERE last_change IS NULL AND NOT is_void
                        AND sent_ts > DATEADD(second, -60, CURRENT_TIMESTAMP())
                ) AS waiting
                WHERE claim = 0 OR routes = :routes
            ) AS ordered
            WHERE place = 1 OR (place <= 500 AND bytes <= 8388608)
        ) AS marked
        WHERE "SYNC_REQUESTS".pod_id = marked.pod_id
            AND "SYNC_REQUESTS".incarnation = marked.incarnation
            AND "SYNC_REQUESTS".number = marked.number AND "SYNC_REQUESTS".change_id IS NULL;
        SELECT
            COUNT(*), COUNT(CASE WHEN joins THEN 1 END),
            COUNT(CASE WHEN request LIKE '%"becomes":%' THEN 1 END),
            '['
                || COALESCE(
                    LISTAGG(CASE WHEN NOT joins THEN NULLIF(request, '') END, ',')
                        WITHIN GROUP (ORDER BY sent_ts, incarnation),
                    ''
                )
                || ']',
            COALESCE(SUM(claim), 0)::NUMBER(38, 0),
            '[' || COALESCE(LISTAGG(NULLIF(outcomes, ''), ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), '')
                || ']',
            COALESCE(SUM(outcome_count), 0)::NUMBER(38, 0),
            '['
                || COALESCE(
                    LISTAGG(NULLIF(submissions, ''), ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), ''
                )
                || ']',
            COUNT(CASE WHEN submissions LIKE '%"replaces":%' THEN 1 END),
            COUNT(CASE WHEN submissions LIKE '%"parents":"%' THEN 1 END)
        INTO :served, :join_count, :command_count, :requests, :claim, :outcomes, :outcome_count, :submissions,
            :replacing, :with_parents
        FROM (
            SELECT
                pod_id, incarnation, number, sent_ts, joins, request, claim, outcomes, outcome_count,
                submissions
            FROM (
                SELECT
                    pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                    MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                    MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                    MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                    MAX(claim) AS claim, MAX(routes) AS routes,
                    MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                    MAX(outcome_count) AS outcome_count,
                    MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                    (
                        number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                        OR (
                            joins
                            AND ROW_NUMBER() OVER (
                                PARTITION BY pod_id, joins
                                ORDER BY
                                    MIN(sent_ts) DESC,
                                    CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                    incarnation DESC
                            ) > 1
                        )
                    ) AS is_void
                FROM "SYNC_REQUESTS"
                WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                GROUP BY pod_id, incarnation, number, joins
            ) AS posted
            WHERE first_change = :change_id AND last_change = :change_id AND NOT is_void
        ) AS marked;
        IF (claim > 0 OR outcome_count > 0) THEN
            IF (claim > 0 AND within_limits) THEN
                UPDATE "QUEUES"
                SET refilled_ts = LEAST(refilled_ts, DATEADD(second, 300, CURRENT_TIMESTAMP()));
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE status = 'claimed' AND queue IN (SELECT queue FROM "QUEUES" WHERE (
                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                ));
            END IF;
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id,
                change_type = change.type,
                change_token = change.claim_token,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id, 'claimed' AS type,
                    NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                    pod_id AS claimed_by, incarnation AS incarnation, claim_token AS claim_token,
                    NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type,
                    NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        queue.step_id, queue.version, queue.has_tries_left, request.pod_id,
                        request.incarnation, request.claim_token, request.free, request.slots,
                        queue.is_limited,
                        queue.place - request.last_place + request.claim AS place,
                        SUM(queue.size) OVER (
                            PARTITION BY request.last_place
                            ORDER BY queue.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                        ) AS bytes
                    FROM (
                        SELECT
                            step_id, version, has_tries_left, is_limited, size,
                            ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
                        FROM (
                            SELECT
                                step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                                retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                            FROM "STEP_TRACKER"
                            WHERE status = 'pending'
                                AND (
                                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                )
                                AND NOT (
                                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                    AND COALESCE(snoozes, 0) = 0
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                    OR queue IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                    )
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                    OR task_type IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                    )
                                )
                                AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                ))
                            UNION ALL
                            SELECT
                                step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                            FROM (
                                SELECT
                                    step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                    ROW_NUMBER() OVER (
                                        PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                    ) AS place_in_queue
                                FROM (
                                    SELECT
                                        step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                        step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                        OCTET_LENGTH(step.payload) AS size, limited.room,
                                        limited.max_running_per_key AS per_key,
                                        COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                        ROW_NUMBER() OVER (
                                            PARTITION BY step.queue, step.key
                                            ORDER BY step.priority DESC, step.created_ts, step.step_id
                                        ) AS place_of_key
                                    FROM (
                                        SELECT *
                                        FROM "STEP_TRACKER"
                                        WHERE status = 'pending'
                                            AND (
                                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                            )
                                            AND NOT (
                                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                                AND COALESCE(snoozes, 0) = 0
                                            )
                                            AND (
                                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                                OR queue IN (
                                                    SELECT value::VARCHAR
                                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                                )
                                            )
                                            AND (
                                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                                OR task_type IN (
                                                    SELECT value::VARCHAR
                                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                                )
                                            )
                                            AND :within_limits
                                    ) AS step
                                    JOIN (
                                        SELECT
                                            queue, max_running_per_key,
                                            CASE
                                                WHEN paused THEN 0
                                                ELSE LEAST(
                                                    COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                    COALESCE(
                                                        CASE
                                                            WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                                THEN SIGN(rate_period)
                                                            ELSE FLOOR(LEAST(
                                                                tokens + rate_count * LEAST(
                                                                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                                ),
                                                                rate_count * rate_period
                                                            ) / rate_period)
                                                        END,
                                                        1000000000
                                                    )
                                                )
                                            END AS room
                                        FROM "QUEUES"
                                        LEFT JOIN (
                                            SELECT queue AS running_in, COUNT(*) AS claimed
                                            FROM (
                                                SELECT held.queue, held.key
                                                FROM "STEP_TRACKER" AS held
                                                LEFT JOIN (
                                                    SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                ) AS ended
                                                    ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                            ) AS held
                                            GROUP BY queue
                                        ) AS running ON running_in = queue
                                        WHERE (
                                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                        )
                                    ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                    LEFT JOIN (
                                        SELECT queue, key, COUNT(*) AS claimed
                                        FROM (
                                            SELECT held.queue, held.key
                                            FROM "STEP_TRACKER" AS held
                                            LEFT JOIN (
                                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                            ) AS ended
                                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                        ) AS held
                                        GROUP BY queue, key
                                    ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                                ) AS candidate
                                WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                            ) AS candidate_of_queue
                            WHERE place_in_queue <= room
                        ) AS claimable
                        WHERE COALESCE(change_id, '') <> :change_id
                        QUALIFY place <= :claim
                    ) AS queue
                    JOIN (
                        SELECT
                            posted.pod_id, posted.incarnation, posted.claim, posted.free, posted.slots,
                            posted.claim_token,
                            SUM(posted.claim) OVER (
                                ORDER BY posted.number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                            ) AS last_place
                        FROM (
                            SELECT
                                index AS number, value:pod_id::VARCHAR AS pod_id,
                                value:incarnation::VARCHAR AS incarnation,
                                value:claim::NUMBER(38, 0) AS claim, value:free::NUMBER(38, 0) AS free,
                                value:slots::NUMBER(38, 0) AS slots,
                                value:claim_token::VARCHAR AS claim_token,
                                value:statuses::VARCHAR AS statuses
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
                        ) AS posted
                        JOIN "POD_HEALTH" AS pod
                            ON pod.pod_id = posted.pod_id AND pod.incarnation = posted.incarnation
                        WHERE posted.claim > 0 AND posted.statuses LIKE '% ' || pod.status || ' %'
                            AND NOT EXISTS (
                                SELECT 1
                                FROM "STEP_TRACKER" AS held
                                WHERE held.status = 'claimed' AND held.claim_token = posted.claim_token
                                    AND held.claimed_by = posted.pod_id
                                    AND held.incarnation = posted.incarnation
                            )
                    ) AS request
                        ON queue.place > request.last_place - request.claim
                            AND queue.place <= request.last_place
                ) AS chosen
                WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= free OR has_tries_left)
                    AND (place <= slots OR NOT is_limited)
                UNION ALL
                SELECT
                    held.step_id, held.version, outcome.pod_id,
                    CASE
                        WHEN outcome.type <> 'failed' THEN outcome.type
                        WHEN outcome.permanent OR held.retry_count >= held.max_retries THEN 'failed'
                        ELSE 'retried'
                    END AS type,
                    NULL AS priority, NULL AS payload,
                    CASE
                        WHEN outcome.retry_delay > 0
                            THEN DATEADD(microsecond, outcome.retry_delay, CURRENT_TIMESTAMP())
                        ELSE TO_TIMESTAMP_LTZ(0, 6)
                    END AS available_ts,
                    NULL AS claimed_by, NULL AS incarnation, outcome.claim_token AS claim_token,
                    outcome.result AS result, outcome.error AS error,
                    outcome.traceback AS traceback, NULL AS task_type, NULL AS labels,
                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        value:pod_id::VARCHAR AS pod_id,
                        value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
                        value:claim_token::VARCHAR AS claim_token, value:result::VARCHAR AS result,
                        value:error::VARCHAR AS error, value:traceback::VARCHAR AS traceback,
                        value:permanent::BOOLEAN AS permanent,
                        value:retry_delay::NUMBER(38, 0) AS retry_delay
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                ) AS outcome
                JOIN "STEP_TRACKER" AS held
                    ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
                        AND held.status = 'claimed'
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version
                AND (
                    :skip_pod_check
                    OR EXISTS (
                        SELECT 1
                        FROM "POD_HEALTH" AS pod
                        WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
                            AND pod.status IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:allowed_statuses)))
                            )
                    )
                );
            changed := SQLROWCOUNT;
            IF (claim > 0 AND changed <= outcome_count) THEN
                due := (SELECT COUNT(*)
                FROM (
                    SELECT 1 AS one
                    FROM (
                        SELECT
                            step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                            retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                        FROM "STEP_TRACKER"
                        WHERE status = 'pending'
                            AND (
                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                            )
                            AND NOT (
                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                AND COALESCE(snoozes, 0) = 0
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                OR queue IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                )
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                OR task_type IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                )
                            )
                            AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                            ))
                        UNION ALL
                        SELECT
                            step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                        FROM (
                            SELECT
                                step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                ROW_NUMBER() OVER (
                                    PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                ) AS place_in_queue
                            FROM (
                                SELECT
                                    step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                    step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                    OCTET_LENGTH(step.payload) AS size, limited.room,
                                    limited.max_running_per_key AS per_key,
                                    COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                    ROW_NUMBER() OVER (
                                        PARTITION BY step.queue, step.key
                                        ORDER BY step.priority DESC, step.created_ts, step.step_id
                                    ) AS place_of_key
                                FROM (
                                    SELECT *
                                    FROM "STEP_TRACKER"
                                    WHERE status = 'pending'
                                        AND (
                                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                        )
                                        AND NOT (
                                            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                            AND COALESCE(snoozes, 0) = 0
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                            OR queue IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                            )
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                            OR task_type IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                            )
                                        )
                                        AND :within_limits
                                ) AS step
                                JOIN (
                                    SELECT
                                        queue, max_running_per_key,
                                        CASE
                                            WHEN paused THEN 0
                                            ELSE LEAST(
                                                COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                COALESCE(
                                                    CASE
                                                        WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                            THEN SIGN(rate_period)
                                                        ELSE FLOOR(LEAST(
                                                            tokens + rate_count * LEAST(
                                                                GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                            ),
                                                            rate_count * rate_period
                                                        ) / rate_period)
                                                    END,
                                                    1000000000
                                                )
                                            )
                                        END AS room
                                    FROM "QUEUES"
                                    LEFT JOIN (
                                        SELECT queue AS running_in, COUNT(*) AS claimed
                                        FROM (
                                            SELECT held.queue, held.key
                                            FROM "STEP_TRACKER" AS held
                                            LEFT JOIN (
                                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                            ) AS ended
                                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                        ) AS held
                                        GROUP BY queue
                                    ) AS running ON running_in = queue
                                    WHERE (
                                        paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                    )
                                ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                LEFT JOIN (
                                    SELECT queue, key, COUNT(*) AS claimed
                                    FROM (
                                        SELECT held.queue, held.key
                                        FROM "STEP_TRACKER" AS held
                                        LEFT JOIN (
                                            SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                        ) AS ended
                                            ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                        WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                    ) AS held
                                    GROUP BY queue, key
                                ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                            ) AS candidate
                            WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                        ) AS candidate_of_queue
                        WHERE place_in_queue <= room
                    ) AS claimable
                    LIMIT 1
                ) AS due);
                IF (due > 0) THEN
                    UPDATE "STEP_TRACKER"
                    SET
                        status = CASE change.type
                            WHEN 'claimed' THEN 'claimed'
                            WHEN 'completed' THEN 'completed'
                            WHEN 'retried' THEN 'pending'
                            WHEN 'released' THEN 'pending'
                            WHEN 'recovered' THEN 'pending'
                            WHEN 'failed' THEN 'failed'
                            WHEN 'cancelled' THEN 'cancelled'
                            WHEN 'replayed' THEN 'pending'
                            WHEN 'ready' THEN 'pending'
                            WHEN 'parents_added' THEN 'waiting'
                            WHEN 'restored' THEN 'waiting'
                            WHEN 'snoozed' THEN 'pending'
                            WHEN 'checkpointed' THEN 'claimed'
                            WHEN 'replaced' THEN 'pending'
                            WHEN 'reprioritized' THEN 'pending'
                            WHEN 'rejected' THEN 'failed'
                        END,
                        priority = CASE
                            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                            ELSE "STEP_TRACKER".priority
                        END,
                        payload = CASE
                            WHEN change.type = 'replaced' THEN change.payload
                            ELSE "STEP_TRACKER".payload
                        END,
                        retry_count = CASE
                            WHEN change.type IN ('replayed', 'restored') THEN 0
                            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                            ELSE "STEP_TRACKER".retry_count
                        END,
                        available_ts = CASE
                            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                            ELSE "STEP_TRACKER".available_ts
                        END,
                        claimed_by = CASE
                            WHEN change.type = 'claimed' THEN change.claimed_by
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".claimed_by
                        END,
                        incarnation = CASE
                            WHEN change.type = 'claimed' THEN change.incarnation
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".incarnation
                        END,
                        claim_token = CASE
                            WHEN change.type = 'claimed' THEN change.claim_token
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".claim_token
                        END,
                        result = CASE
                            WHEN change.type = 'completed' THEN change.result
                            ELSE "STEP_TRACKER".result
                        END,
                        error = CASE
                            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                            WHEN change.type IN ('completed', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".error
                        END,
                        traceback = CASE
                            WHEN change.type IN ('retried', 'failed') THEN change.traceback
                            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".traceback
                        END,
                        task_type = CASE
                            WHEN change.type = 'replaced' THEN change.task_type
                            ELSE "STEP_TRACKER".task_type
                        END,
                        labels = CASE
                            WHEN change.type = 'replaced' THEN change.labels
                            ELSE "STEP_TRACKER".labels
                        END,
                        parents = CASE
                            WHEN change.type = 'parents_added' THEN change.parents
                            ELSE "STEP_TRACKER".parents
                        END,
                        start_by_ts = CASE
                            WHEN change.type = 'replaced' THEN change.start_by_ts
                            WHEN change.type IN ('replayed', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".start_by_ts
                        END,
                        snoozes = CASE
                            WHEN change.type IN ('replayed', 'restored') THEN 0
                            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                            ELSE "STEP_TRACKER".snoozes
                        END,
                        checkpoint = CASE
                            WHEN change.type = 'checkpointed' THEN change.checkpoint
                            WHEN change.type = 'replaced' THEN NULL
                            ELSE "STEP_TRACKER".checkpoint
                        END,
                        last_update_ts = CURRENT_TIMESTAMP(),
                        version = "STEP_TRACKER".version + 1,
                        change_id = :change_id,
                        change_type = change.type,
                        change_token = change.claim_token,
                        changed_for = change.pod_id
                    FROM (
                        SELECT
                            step_id, version, pod_id, 'claimed' AS type,
                            NULL AS priority, NULL AS payload,
                            TO_TIMESTAMP_LTZ(0, 6) AS available_ts, pod_id AS claimed_by,
                            incarnation AS incarnation, claim_token AS claim_token, NULL AS result,
                            NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
                            NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                        FROM (
                            SELECT
                                queue.step_id, queue.version, queue.has_tries_left, request.pod_id,
                                request.incarnation, request.claim_token, request.free, request.slots,
                                queue.is_limited,
                                queue.place - request.last_place + request.claim AS place,
                                SUM(queue.size) OVER (
                                    PARTITION BY request.last_place
                                    ORDER BY queue.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                                ) AS bytes
                            FROM (
                                SELECT
                                    step_id, version, has_tries_left, is_limited, size,
                                    ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
                                FROM (
                                    SELECT
                                        step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                                        retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                                    FROM "STEP_TRACKER"
                                    WHERE status = 'pending'
                                        AND (
                                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                        )
                                        AND NOT (
                                            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                            AND COALESCE(snoozes, 0) = 0
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                            OR queue IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                            )
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                            OR task_type IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                            )
                                        )
                                        AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                        ))
                                    UNION ALL
                                    SELECT
                                        step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                                    FROM (
                                        SELECT
                                            step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                            ROW_NUMBER() OVER (
                                                PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                            ) AS place_in_queue
                                        FROM (
                                            SELECT
                                                step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                                step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                                OCTET_LENGTH(step.payload) AS size, limited.room,
                                                limited.max_running_per_key AS per_key,
                                                COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                                ROW_NUMBER() OVER (
                                                    PARTITION BY step.queue, step.key
                                                    ORDER BY step.priority DESC, step.created_ts, step.step_id
                                                ) AS place_of_key
                                            FROM (
                                                SELECT *
                                                FROM "STEP_TRACKER"
                                                WHERE status = 'pending'
                                                    AND (
                                                        available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                                        OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                                    )
                                                    AND NOT (
                                                        start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                                        AND COALESCE(snoozes, 0) = 0
                                                    )
                                                    AND (
                                                        GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                                        OR queue IN (
                                                            SELECT value::VARCHAR
                                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                                        )
                                                    )
                                                    AND (
                                                        GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                                        OR task_type IN (
                                                            SELECT value::VARCHAR
                                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                                        )
                                                    )
                                                    AND :within_limits
                                            ) AS step
                                            JOIN (
                                                SELECT
                                                    queue, max_running_per_key,
                                                    CASE
                                                        WHEN paused THEN 0
                                                        ELSE LEAST(
                                                            COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                            COALESCE(
                                                                CASE
                                                                    WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                                        THEN SIGN(rate_period)
                                                                    ELSE FLOOR(LEAST(
                                                                        tokens + rate_count * LEAST(
                                                                            GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                                        ),
                                                                        rate_count * rate_period
                                                                    ) / rate_period)
                                                                END,
                                                                1000000000
                                                            )
                                                        )
                                                    END AS room
                                                FROM "QUEUES"
                                                LEFT JOIN (
                                                    SELECT queue AS running_in, COUNT(*) AS claimed
                                                    FROM (
                                                        SELECT held.queue, held.key
                                                        FROM "STEP_TRACKER" AS held
                                                        LEFT JOIN (
                                                            SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                        ) AS ended
                                                            ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                        WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                                    ) AS held
                                                    GROUP BY queue
                                                ) AS running ON running_in = queue
                                                WHERE (
                                                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                                )
                                            ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                            LEFT JOIN (
                                                SELECT queue, key, COUNT(*) AS claimed
                                                FROM (
                                                    SELECT held.queue, held.key
                                                    FROM "STEP_TRACKER" AS held
                                                    LEFT JOIN (
                                                        SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                    ) AS ended
                                                        ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                    WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                                ) AS held
                                                GROUP BY queue, key
                                            ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                                        ) AS candidate
                                        WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                                    ) AS candidate_of_queue
                                    WHERE place_in_queue <= room
                                ) AS claimable
                                WHERE COALESCE(change_id, '') <> :change_id
                                QUALIFY place <= :claim
                            ) AS queue
                            JOIN (
                                SELECT
                                    posted.pod_id, posted.incarnation, posted.claim, posted.free, posted.slots,
                                    posted.claim_token,
                                    SUM(posted.claim) OVER (
                                        ORDER BY posted.number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                                    ) AS last_place
                                FROM (
                                    SELECT
                                        index AS number, value:pod_id::VARCHAR AS pod_id,
                                        value:incarnation::VARCHAR AS incarnation,
                                        value:claim::NUMBER(38, 0) AS claim, value:free::NUMBER(38, 0) AS free,
                                        value:slots::NUMBER(38, 0) AS slots,
                                        value:claim_token::VARCHAR AS claim_token,
                                        value:statuses::VARCHAR AS statuses
                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
                                ) AS posted
                                JOIN "POD_HEALTH" AS pod
                                    ON pod.pod_id = posted.pod_id AND pod.incarnation = posted.incarnation
                                WHERE posted.claim > 0 AND posted.statuses LIKE '% ' || pod.status || ' %'
                                    AND NOT EXISTS (
                                        SELECT 1
                                        FROM "STEP_TRACKER" AS held
                                        WHERE held.status = 'claimed' AND held.claim_token = posted.claim_token
                                            AND held.claimed_by = posted.pod_id
                                            AND held.incarnation = posted.incarnation
                                    )
                            ) AS request
                                ON queue.place > request.last_place - request.claim
                                    AND queue.place <= request.last_place
                        ) AS chosen
                        WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= free OR has_tries_left)
                            AND (place <= slots OR NOT is_limited)
                        UNION ALL
                        SELECT
                            held.step_id, held.version, outcome.pod_id,
                            CASE
                                WHEN outcome.type <> 'failed' THEN outcome.type
                                WHEN outcome.permanent OR held.retry_count >= held.max_retries THEN 'failed'
                                ELSE 'retried'
                            END AS type,
                            NULL AS priority, NULL AS payload,
                            CASE
                                WHEN outcome.retry_delay > 0
                                    THEN DATEADD(microsecond, outcome.retry_delay, CURRENT_TIMESTAMP())
                                ELSE TO_TIMESTAMP_LTZ(0, 6)
                            END AS available_ts,
                            NULL AS claimed_by, NULL AS incarnation,
                            outcome.claim_token AS claim_token, outcome.result AS result,
                            outcome.error AS error, outcome.traceback AS traceback,
                            NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                            NULL AS checkpoint
                        FROM (
                            SELECT
                                value:pod_id::VARCHAR AS pod_id,
                                value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
                                value:claim_token::VARCHAR AS claim_token,
                                value:result::VARCHAR AS result, value:error::VARCHAR AS error,
                                value:traceback::VARCHAR AS traceback,
                                value:permanent::BOOLEAN AS permanent,
                                value:retry_delay::NUMBER(38, 0) AS retry_delay
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                        ) AS outcome
                        JOIN "STEP_TRACKER" AS held
                            ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
                                AND held.status = 'claimed'
                    ) AS change
                    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version
                        AND (
                            :skip_pod_check
                            OR EXISTS (
                                SELECT 1
                                FROM "POD_HEALTH" AS pod
                                WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
                                    AND pod.status IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:allowed_statuses)))
                                    )
                            )
                        );
                    claimed := SQLROWCOUNT;
                END IF;
            END IF;
            IF (claim > 0 AND within_limits AND (changed > outcome_count OR claimed > 0)) THEN
                UPDATE "QUEUES"
                SET tokens = LEAST(
                    tokens + rate_count * LEAST(
                        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                    ),
                    rate_count * rate_period
                ) - change.claimed * rate_period, refilled_ts = CURRENT_TIMESTAMP()
                FROM (
                    SELECT queue AS claimed_from, COUNT(*) AS claimed
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id AND change_type = 'claimed'
                    GROUP BY queue
                ) AS change
                WHERE change.claimed_from = "QUEUES".queue AND "QUEUES".rate_count IS NOT NULL;
            END IF;
        END IF;
        IF (submissions <> '[]') THEN
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE step_id IN (
                SELECT value:step_id::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            )
                OR unique_key IN (
                    SELECT value:unique_key::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                );
            IF (replacing > 0 OR with_parents > 0) THEN
                IF (with_parents > 0) THEN
                    UPDATE "STEP_TRACKER"
                    SET version = version
                    WHERE step_id IN (SELECT submitted.parent_id FROM (
                        SELECT new.submission_id, one.key AS parent_id
                        FROM (
                            SELECT
                                value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                        ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                        WHERE new.parents IS NOT NULL
                    ) AS submitted);
                END IF;
                accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
                FROM (
                    SELECT submitted.submission_id
                    FROM (
                        SELECT
                            submission_id, step_id, unique_key, replaces,
                            ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
                            CASE
                                WHEN unique_key IS NOT NULL
                                    THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                                ELSE 1
                            END AS place_of_key
                        FROM (
                            SELECT
                                index AS number, value:submission_id::VARCHAR AS submission_id,
                                value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                                value:replaces::NUMBER(38, 0) AS replaces
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                        ) AS posted
                    ) AS submitted
                    LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = submitted.step_id
                    LEFT JOIN "STEP_TRACKER" AS owner
                        ON owner.unique_key = submitted.unique_key AND (
                            owner.status NOT IN ('completed', 'failed', 'cancelled')
                            OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                        )
                    GROUP BY submitted.submission_id
                    HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
                        AND COUNT(
                            CASE
                                WHEN replaces IS NULL
                                    THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                                WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                                    THEN 1
                            END
                        ) = 0
                ) AS accepted);
                IF (with_parents > 0) THEN
                    accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
                    FROM (
                        SELECT value::VARCHAR AS submission_id
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                    ) AS one
                    WHERE submission_id NOT IN (
                        SELECT submitted.submission_id
                        FROM (
                            SELECT new.submission_id, one.key AS parent_id
                            FROM (
                                SELECT
                                    value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                            ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                            WHERE new.parents IS NOT NULL
                        ) AS submitted
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = submitted.parent_id
                        LEFT JOIN (
                            SELECT value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                        ) AS own
                            ON own.submission_id = submitted.submission_id AND own.step_id = submitted.parent_id
                        WHERE parent.step_id IS NULL AND own.step_id IS NULL
                    ));
                END IF;
                INSERT INTO "STEP_TRACKER" (
                    step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
                    change_type, changed_for,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
                )
                SELECT
                    new.value:step_id::VARCHAR,
                    CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
                    0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
                    new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
                    new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
                    new.value:max_retries::NUMBER(38, 0),
                    CASE
                        WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                        ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                    END,
                    new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
                    new.value:unique_key::VARCHAR,
                    DATEADD(
                        microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
                    ),
                    new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0),
                    new.value:parents::VARCHAR, new.value:workflow_id::VARCHAR,
                    new.value:spawned_by::VARCHAR,
                    DATEADD(
                        microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                    )
                FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
                WHERE new.value:replaces IS NULL
                    AND new.value:submission_id::VARCHAR IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                    );
                submit_count := SQLROWCOUNT;
                UPDATE "STEP_TRACKER"
                SET
                    payload = change.payload, priority = change.priority,
                    available_ts = change.available_ts, task_type = change.task_type,
                    labels = change.labels, start_by_ts = change.start_by_ts,
                    checkpoint = NULL,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = change.submission_id,
                    change_type = 'replaced',
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id,
                        value:replaces::NUMBER(38, 0) AS replaces, value:pod_id::VARCHAR AS pod_id,
                        value:payload::VARCHAR AS payload,
                        value:priority::NUMBER(38, 0) AS priority,
                        CASE
                            WHEN value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                            ELSE DATEADD(microsecond, value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                        END AS available_ts,
                        value:task_type::VARCHAR AS task_type, value:labels::VARCHAR AS labels,
                        DATEADD(
                            microsecond, value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                        ) AS start_by_ts
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.replaces
                    AND change.submission_id IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                    );
                replaced := SQLROWCOUNT;
            ELSE
                INSERT INTO "STEP_TRACKER" (
                    step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
                    change_type, changed_for,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
                )
                SELECT
                    new.value:step_id::VARCHAR,
                    CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
                    0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
                    new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
                    new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
                    new.value:max_retries::NUMBER(38, 0),
                    CASE
                        WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                        ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                    END,
                    new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
                    new.value:unique_key::VARCHAR,
                    DATEADD(
                        microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
                    ),
                    new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0),
                    new.value:parents::VARCHAR, new.value:workflow_id::VARCHAR,
                    new.value:spawned_by::VARCHAR,
                    DATEADD(
                        microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                    )
                FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
                JOIN (
                    SELECT submitted.submission_id
                    FROM (
                        SELECT
                            submission_id, step_id, unique_key, replaces,
                            ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
                            CASE
                                WHEN unique_key IS NOT NULL
                                    THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                                ELSE 1
                            END AS place_of_key
                        FROM (
                            SELECT
                                index AS number, value:submission_id::VARCHAR AS submission_id,
                                value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                                value:replaces::NUMBER(38, 0) AS replaces
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                        ) AS posted
                    ) AS submitted
                    LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = submitted.step_id
                    LEFT JOIN "STEP_TRACKER" AS owner
                        ON owner.unique_key = submitted.unique_key AND (
                            owner.status NOT IN ('completed', 'failed', 'cancelled')
                            OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                        )
                    GROUP BY submitted.submission_id
                    HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
                        AND COUNT(
                            CASE
                                WHEN replaces IS NULL
                                    THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                                WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                                    THEN 1
                            END
                        ) = 0
                ) AS accepted
                    ON accepted.submission_id = new.value:submission_id::VARCHAR;
                submit_count := SQLROWCOUNT;
            END IF;
        END IF;
        IF (changed > 0 OR claimed > 0 OR submit_count > 0 OR replaced > 0) THEN
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE (
                    change_id = :change_id
                    AND (
                        :within_limits OR change_type <> 'claimed'
                        OR queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                        ))
                    )
                    AND (
                        status NOT IN ('completed', 'failed', 'cancelled')
                        OR NOT EXISTS (SELECT 1 FROM "STEP_TRACKER" AS other WHERE other.status = 'waiting')
                    )
                )
                OR change_id IN (
                    SELECT value:submission_id::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                );
            appended := SQLROWCOUNT;
            IF (submit_count > 0) THEN
                appended := (SELECT :appended - :submit_count);
            END IF;
            IF (outcome_count > 0 AND appended < changed) THEN
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id AND status IN ('completed', 'failed', 'cancelled')
                    AND step_id NOT IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id);
                more := SQLROWCOUNT;
                appended := (SELECT :appended + :more);
            END IF;
            IF (more > 0 OR with_parents > 0) THEN
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE status = 'waiting'
                    AND step_id IN (
                        SELECT parent.step_id
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE parent.parent_change_id = :change_id
                    );
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id || ' settled',
                    change_type = change.type,
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        step_id, version, pod_id,
                        CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                        NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                        NULL AS incarnation, NULL AS claim_token, NULL AS result,
                        CASE
                            WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                            WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                        END AS error,
                        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                        NULL AS start_by_ts, NULL AS checkpoint
                    FROM (
                        SELECT
                            step_id, version,
                            COALESCE(
                                MAX(
                                    CASE
                                        WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                            THEN parent_changed_for
                                    END
                                ),
                                MAX(changed_for)
                            ) AS pod_id,
                            COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                            COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                            MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                            MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                AS cancelled_parent
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE status = 'waiting'
                        GROUP BY step_id, version
                    ) AS child
                    WHERE open_parents = 0 OR lost_parents > 0
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                more := SQLROWCOUNT;
                IF (more > 0) THEN
                    FOR level IN 2 TO 20 DO
                        IF (more > 0) THEN
                            UPDATE "STEP_TRACKER"
                            SET
                                status = CASE change.type
                                    WHEN 'claimed' THEN 'claimed'
                                    WHEN 'completed' THEN 'completed'
                                    WHEN 'retried' THEN 'pending'
                                    WHEN 'released' THEN 'pending'
                                    WHEN 'recovered' THEN 'pending'
                                    WHEN 'failed' THEN 'failed'
                                    WHEN 'cancelled' THEN 'cancelled'
                                    WHEN 'replayed' THEN 'pending'
                                    WHEN 'ready' THEN 'pending'
                                    WHEN 'parents_added' THEN 'waiting'
                                    WHEN 'restored' THEN 'waiting'
                                    WHEN 'snoozed' THEN 'pending'
                                    WHEN 'checkpointed' THEN 'claimed'
                                    WHEN 'replaced' THEN 'pending'
                                    WHEN 'reprioritized' THEN 'pending'
                                    WHEN 'rejected' THEN 'failed'
                                END,
                                priority = CASE
                                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                    ELSE "STEP_TRACKER".priority
                                END,
                                payload = CASE
                                    WHEN change.type = 'replaced' THEN change.payload
                                    ELSE "STEP_TRACKER".payload
                                END,
                                retry_count = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                    ELSE "STEP_TRACKER".retry_count
                                END,
                                available_ts = CASE
                                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                    ELSE "STEP_TRACKER".available_ts
                                END,
                                claimed_by = CASE
                                    WHEN change.type = 'claimed' THEN change.claimed_by
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claimed_by
                                END,
                                incarnation = CASE
                                    WHEN change.type = 'claimed' THEN change.incarnation
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".incarnation
                                END,
                                claim_token = CASE
                                    WHEN change.type = 'claimed' THEN change.claim_token
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claim_token
                                END,
                                result = CASE
                                    WHEN change.type = 'completed' THEN change.result
                                    ELSE "STEP_TRACKER".result
                                END,
                                error = CASE
                                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                    WHEN change.type IN ('completed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".error
                                END,
                                traceback = CASE
                                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".traceback
                                END,
                                task_type = CASE
                                    WHEN change.type = 'replaced' THEN change.task_type
                                    ELSE "STEP_TRACKER".task_type
                                END,
                                labels = CASE
                                    WHEN change.type = 'replaced' THEN change.labels
                                    ELSE "STEP_TRACKER".labels
                                END,
                                parents = CASE
                                    WHEN change.type = 'parents_added' THEN change.parents
                                    ELSE "STEP_TRACKER".parents
                                END,
                                start_by_ts = CASE
                                    WHEN change.type = 'replaced' THEN change.start_by_ts
                                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".start_by_ts
                                END,
                                snoozes = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                    ELSE "STEP_TRACKER".snoozes
                                END,
                                checkpoint = CASE
                                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                                    WHEN change.type = 'replaced' THEN NULL
                                    ELSE "STEP_TRACKER".checkpoint
                                END,
                                last_update_ts = CURRENT_TIMESTAMP(),
                                version = "STEP_TRACKER".version + 1,
                                change_id = :change_id || ' settled',
                                change_type = change.type,
                                change_token = NULL,
                                changed_for = change.pod_id
                            FROM (
                                SELECT
                                    step_id, version, pod_id,
                                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                    NULL AS priority, NULL AS payload, NULL AS available_ts,
                                    NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                    NULL AS result,
                                    CASE
                                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                    END AS error,
                                    NULL AS traceback, NULL AS task_type, NULL AS labels,
                                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                                FROM (
                                    SELECT
                                        step_id, version,
                                        COALESCE(
                                            MAX(
                                                CASE
                                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                        THEN parent_changed_for
                                                END
                                            ),
                                            MAX(changed_for)
                                        ) AS pod_id,
                                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                            AS cancelled_parent
                                    FROM (
                                        SELECT
                                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                            parent.changed_for AS parent_changed_for,
                                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                        FROM (
                                            SELECT
                                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                                one.key AS parent_id, one.value::VARCHAR AS kind
                                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                            WHERE child.parents IS NOT NULL
                                        ) AS edge
                                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                    ) AS parent
                                    WHERE status = 'waiting'
                                    GROUP BY step_id, version
                                ) AS child
                                WHERE open_parents = 0 OR lost_parents > 0
                            ) AS change
                            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                            more := SQLROWCOUNT;
                        END IF;
                    END FOR;
                    INSERT INTO "STEP_EVENTS" (
                        step_id, version, type, event_ts, pod_id, change_id,
                        payload, priority, max_retries, available_ts, queue, task_type, key,
                        unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                        spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
                        checkpoint
                    )
                    SELECT
                        step_id, version, change_type, last_update_ts, changed_for, change_id,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                        CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                            THEN priority END,
                        CASE WHEN change_type = 'submitted' THEN max_retries END,
                        CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                            THEN available_ts END,
                        CASE WHEN change_type = 'submitted' THEN queue END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                        CASE WHEN change_type = 'submitted' THEN key END,
                        CASE WHEN change_type = 'submitted' THEN unique_key END,
                        CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                        CASE WHEN change_type = 'submitted' THEN timeout END,
                        CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                        CASE WHEN change_type = 'submitted' THEN workflow_id END,
                        CASE WHEN change_type = 'submitted' THEN spawned_by END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                        change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                        CASE WHEN change_type = 'completed' THEN result END,
                        CASE
                            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                OR (change_type = 'cancelled'
                                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                THEN error
                        END,
                        CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                        CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id || ' settled';
                END IF;
            END IF;
        END IF;
        IF (join_count > 0) THEN
            UPDATE "POD_HEALTH"
            SET status = 'up', birth_ts = CURRENT_TIMESTAMP(), last_heartbeat_ts = CURRENT_TIMESTAMP(),
                incarnation = joining.incarnation, version = "POD_HEALTH".version + 1, change_id = :change_id,
                change_type = 'joined', description = joining.description
            FROM (
                SELECT
                    pod_id, incarnation,
                    GET_PATH(PARSE_JSON(CASE WHEN joins THEN request END), 'description')::VARCHAR
                        AS description
                FROM (
                    SELECT
                        pod_id, incarnation, number, sent_ts, joins, request, claim, outcomes, outcome_count,
                        submissions
                    FROM (
                        SELECT
                            pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                            MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                            MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                            MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                            MAX(claim) AS claim, MAX(routes) AS routes,
                            MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                            MAX(outcome_count) AS outcome_count,
                            MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                            (
                                number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                                OR (
                                    joins
                                    AND ROW_NUMBER() OVER (
                                        PARTITION BY pod_id, joins
                                        ORDER BY
                                            MIN(sent_ts) DESC,
                                            CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                            incarnation DESC
                                    ) > 1
                                )
                            ) AS is_void
                        FROM "SYNC_REQUESTS"
                        WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                        GROUP BY pod_id, incarnation, number, joins
                    ) AS posted
                    WHERE first_change = :change_id AND last_change = :change_id AND NOT is_void
                ) AS marked
                WHERE joins
            ) AS joining
            WHERE "POD_HEALTH".pod_id = joining.pod_id AND "POD_HEALTH".incarnation <> joining.incarnation;
            INSERT INTO "POD_HEALTH" (
                pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, change_id, change_type,
                description
            )
            SELECT joining.pod_id, 'up', CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), joining.incarnation, 1,
                :change_id, 'joined', joining.description
            FROM (
                SELECT
                    pod_id, incarnation,
                    GET_PATH(PARSE_JSON(CASE WHEN joins THEN request END), 'description')::VARCHAR
                        AS description
                FROM (
                    SELECT
                        pod_id, incarnation, number, sent_ts, joins, request, claim, outcomes, outcome_count,
                        submissions
                    FROM (
                        SELECT
                            pod_id, incarnation, number, joins, MAX(sent_ts) AS sent_ts,
                            MIN(change_id) AS first_change, MAX(change_id) AS last_change,
                            MAX(OCTET_LENGTH(outcomes) + OCTET_LENGTH(submissions)) AS size,
                            MAX(CASE WHEN change_id = :change_id THEN request END) AS request,
                            MAX(claim) AS claim, MAX(routes) AS routes,
                            MAX(CASE WHEN change_id = :change_id THEN outcomes END) AS outcomes,
                            MAX(outcome_count) AS outcome_count,
                            MAX(CASE WHEN change_id = :change_id THEN submissions END) AS submissions,
                            (
                                number < MAX(number) OVER (PARTITION BY pod_id, incarnation)
                                OR (
                                    joins
                                    AND ROW_NUMBER() OVER (
                                        PARTITION BY pod_id, joins
                                        ORDER BY
                                            MIN(sent_ts) DESC,
                                            CASE WHEN MAX(change_id) <> :change_id THEN 1 ELSE 0 END,
                                            incarnation DESC
                                    ) > 1
                                )
                            ) AS is_void
                        FROM "SYNC_REQUESTS"
                        WHERE sent_ts <= DATEADD(second, 300, CURRENT_TIMESTAMP())
                        GROUP BY pod_id, incarnation, number, joins
                    ) AS posted
                    WHERE first_change = :change_id AND last_change = :change_id AND NOT is_void
                ) AS marked
                WHERE joins
            ) AS joining
            WHERE NOT EXISTS (SELECT 1 FROM "POD_HEALTH" AS pod WHERE pod.pod_id = joining.pod_id);
        END IF;
        IF (command_count > 0) THEN
            UPDATE "POD_HEALTH"
            SET
                status = command.becomes,
                last_heartbeat_ts = CASE
                    WHEN command.is_sign_of_life THEN CURRENT_TIMESTAMP()
                    ELSE "POD_HEALTH".last_heartbeat_ts
                END,
                version = "POD_HEALTH".version + 1,
                change_id = :change_id,
                change_type = command.type
            FROM (
                SELECT
                    value:pod_id::VARCHAR AS pod_id, value:incarnation::VARCHAR AS incarnation,
                    value:was::VARCHAR AS was, value:becomes::VARCHAR AS becomes,
                    value:type::VARCHAR AS type, value:is_sign_of_life::BOOLEAN AS is_sign_of_life,
                    value:needs::VARCHAR AS needs
                FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
                WHERE value:becomes::VARCHAR <> ''
            ) AS command
            WHERE "POD_HEALTH".pod_id = command.pod_id AND "POD_HEALTH".incarnation = command.incarnation
                AND "POD_HEALTH".status = command.was
                AND command.needs IN (
                    SELECT ''
                    UNION ALL
                    SELECT claim_token
                    FROM "STEP_TRACKER"
                    WHERE status = 'claimed' AND change_id = :change_id
                );
        END IF;
        IF (join_count > 0 OR command_count > 0) THEN
            INSERT INTO "POD_EVENTS" (
                pod_id, version, type, event_ts, by_pod_id, incarnation, description, change_id
            )
            SELECT
                pod_id, version, change_type,
                CASE WHEN change_type = 'joined' THEN birth_ts ELSE CURRENT_TIMESTAMP() END,
                CASE WHEN change_type = 'declared_dead' THEN :pod_id ELSE pod_id END, incarnation,
                CASE WHEN change_type = 'joined' THEN description END, change_id
            FROM "POD_HEALTH"
            WHERE change_id = :change_id AND change_type <> '';
        END IF;
        IF (claimed = 0 AND appended < changed) THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        change_id := (SELECT COALESCE(MAX(change_id), '')
        FROM (
            SELECT change_id
            FROM "SYNC_REQUESTS"
            WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number
                AND change_id IS NOT NULL
            ORDER BY sent_ts
            LIMIT 1
        ) AS earliest);
        due := 1;
    END IF;
    IF (change_id = '' AND void = 0 AND due > 0) THEN
        LET waits RESULTSET := (SELECT FALSE AS is_served);
        RETURN TABLE(waits);
    END IF;
    IF (own_submissions <> '') THEN
        LET stored RESULTSET := (SELECT
            own.stored,
            step.step_id, step.status, step.priority, step.payload, step.retry_count,
            step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
            DATE_PART(epoch_microsecond, step.last_update_ts),
            DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
            step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
            step.task_type, step.key, step.unique_key,
            DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout,
            step.parents, step.workflow_id, step.spawned_by,
            DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint,
            step.progress
        FROM (
            SELECT COUNT(*) AS stored
            FROM "STEP_EVENTS"
            WHERE change_id = :incarnation AND type IN ('submitted', 'replaced')
        ) AS own
        LEFT JOIN (
            SELECT
                step_id, status, priority, payload, retry_count, max_retries, created_ts,
                last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error,
                traceback, version, queue, task_type, key, unique_key, unique_until_ts, labels,
                timeout, parents, workflow_id, spawned_by, start_by_ts, snoozes, checkpoint,
                progress
            FROM "STEP_TRACKER" AS owner
            WHERE step_id IN (
                    SELECT value:step_id::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON('[' || :own_submissions || ']')))
                )
                OR (
                    unique_key IN (
                        SELECT value:unique_key::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON('[' || :own_submissions || ']')))
                    )
                    AND (
                        owner.status NOT IN ('completed', 'failed', 'cancelled')
                        OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                    )
                )
        ) AS step ON own.stored = 0);
        RETURN TABLE(stored);
    END IF;
    within_limits := TRUE;
    LET answer RESULTSET := (SELECT
        'now' AS kind, NULL AS changed_step_id, NULL AS changed_token,
        DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
        (
            SELECT DATE_PART(epoch_microsecond, MIN(available_ts))
            FROM "STEP_TRACKER"
            WHERE status = 'pending' AND available_ts > CURRENT_TIMESTAMP()
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
        ) AS next_due,
        EXISTS (SELECT 1 FROM "STEP_TRACKER" WHERE status = 'claimed') AS held,
        EXISTS (
            SELECT 1
            FROM "STEP_TRACKER"
            WHERE status = 'pending'
                AND (
                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                )
                AND NOT (
                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                    AND COALESCE(snoozes, 0) = 0
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
        ) AS due,
        EXISTS (SELECT 1 FROM (
            SELECT
                step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
            FROM "STEP_TRACKER"
            WHERE status = 'pending'
                AND (
                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                )
                AND NOT (
                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                    AND COALESCE(snoozes, 0) = 0
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
                AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                ))
            UNION ALL
            SELECT
                step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
            FROM (
                SELECT
                    step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                    ROW_NUMBER() OVER (
                        PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                    ) AS place_in_queue
                FROM (
                    SELECT
                        step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                        step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                        OCTET_LENGTH(step.payload) AS size, limited.room,
                        limited.max_running_per_key AS per_key,
                        COALESCE(of_key.claimed, 0) AS claimed_of_key,
                        ROW_NUMBER() OVER (
                            PARTITION BY step.queue, step.key
                            ORDER BY step.priority DESC, step.created_ts, step.step_id
                        ) AS place_of_key
                    FROM (
                        SELECT *
                        FROM "STEP_TRACKER"
                        WHERE status = 'pending'
                            AND (
                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                            )
                            AND NOT (
                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                AND COALESCE(snoozes, 0) = 0
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                OR queue IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                )
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                OR task_type IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                )
                            )
                            AND :within_limits
                    ) AS step
                    JOIN (
                        SELECT
                            queue, max_running_per_key,
                            CASE
                                WHEN paused THEN 0
                                ELSE LEAST(
                                    COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                    COALESCE(
                                        CASE
                                            WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                THEN SIGN(rate_period)
                                            ELSE FLOOR(LEAST(
                                                tokens + rate_count * LEAST(
                                                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                ),
                                                rate_count * rate_period
                                            ) / rate_period)
                                        END,
                                        1000000000
                                    )
                                )
                            END AS room
                        FROM "QUEUES"
                        LEFT JOIN (
                            SELECT queue AS running_in, COUNT(*) AS claimed
                            FROM (
                                SELECT held.queue, held.key
                                FROM "STEP_TRACKER" AS held
                                LEFT JOIN (
                                    SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                ) AS ended
                                    ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                WHERE held.status = 'claimed' AND ended.step_id IS NULL
                            ) AS held
                            GROUP BY queue
                        ) AS running ON running_in = queue
                        WHERE (
                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                        )
                    ) AS limited ON limited.queue = step.queue AND limited.room > 0
                    LEFT JOIN (
                        SELECT queue, key, COUNT(*) AS claimed
                        FROM (
                            SELECT held.queue, held.key
                            FROM "STEP_TRACKER" AS held
                            LEFT JOIN (
                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                            ) AS ended
                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                        ) AS held
                        GROUP BY queue, key
                    ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                ) AS candidate
                WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
            ) AS candidate_of_queue
            WHERE place_in_queue <= room
        ) AS claimable_step) AS claimable,
        EXISTS (SELECT 1 FROM "QUEUES") AS has_limits,
        EXISTS (SELECT 1 FROM "STEP_INBOX") AS has_inbox_rows,
        (
            SELECT DATE_PART(epoch_microsecond, MIN(DATEADD(
                microsecond,
                CEIL((rate_period - LEAST(
                    tokens + rate_count * LEAST(
                        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                    ),
                    rate_count * rate_period
                )) / rate_count)::NUMBER(38, 0),
                GREATEST(refilled_ts, CURRENT_TIMESTAMP())
            )))
            FROM "QUEUES"
            WHERE rate_count IS NOT NULL AND NOT paused AND LEAST(
                tokens + rate_count * LEAST(
                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                ),
                rate_count * rate_period
            ) < rate_period
                AND queue IN (
                    SELECT queue FROM "STEP_TRACKER"
                    WHERE status = 'pending'
                        AND (
                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                            OR queue IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                            )
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                            OR task_type IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                            )
                        )
                )
        ) AS next_token,
        EXISTS (SELECT 1 FROM "STEP_TRACKER" WHERE status = 'waiting') AS has_waiting,
        (SELECT MAX(schema_version) FROM "FLEET_Q") AS schema_version,
        :changed + :claimed AS changed,
        :served AS served,
        (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM "SCHEDULES") AS next_firing,
        pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
        DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM (SELECT 1 AS always) AS now
    LEFT JOIN (
        SELECT
            pod_id, status, birth_ts,
            GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts,
            incarnation, version, description
        FROM "POD_HEALTH"
        LEFT JOIN (
            SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest ON sender_id = pod_id AND sent_by = incarnation
    ) AS pod ON pod.pod_id = :pod_id
    UNION ALL
    SELECT
        'held', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        step.step_id, step.status, step.priority,
        CASE WHEN step.claim_token = :claim_token THEN step.payload END, step.retry_count,
        step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM "STEP_TRACKER" AS step
    WHERE step.status = 'claimed' AND step.claimed_by = :pod_id
    UNION ALL
    SELECT
        'done', step_id, claim_token, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM "STEP_EVENTS"
    WHERE change_id = :change_id AND pod_id = :pod_id AND type <> 'claimed');
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/expire
CREATE OR REPLACE PROCEDURE "FLEET_Q_EXPIRE_11"(
    most NUMBER(38, 0),
    error VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    expired NUMBER(38, 0) DEFAULT 0;
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
BEGIN
    expired := (SELECT COUNT(*)
    FROM "STEP_TRACKER"
    WHERE status IN ('pending', 'waiting')
        AND (
            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
            AND COALESCE(snoozes, 0) = 0
        ));
    IF (expired > 0) THEN
        BEGIN TRANSACTION;
        UPDATE "STEP_TRACKER"
        SET
            status = CASE change.type
                WHEN 'claimed' THEN 'claimed'
                WHEN 'completed' THEN 'completed'
                WHEN 'retried' THEN 'pending'
                WHEN 'released' THEN 'pending'
                WHEN 'recovered' THEN 'pending'
                WHEN 'failed' THEN 'failed'
                WHEN 'cancelled' THEN 'cancelled'
                WHEN 'replayed' THEN 'pending'
                WHEN 'ready' THEN 'pending'
                WHEN 'parents_added' THEN 'waiting'
                WHEN 'restored' THEN 'waiting'
                WHEN 'snoozed' THEN 'pending'
                WHEN 'checkpointed' THEN 'claimed'
                WHEN 'replaced' THEN 'pending'
                WHEN 'reprioritized' THEN 'pending'
                WHEN 'rejected' THEN 'failed'
            END,
            priority = CASE
                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                ELSE "STEP_TRACKER".priority
            END,
            payload = CASE
                WHEN change.type = 'replaced' THEN change.payload
                ELSE "STEP_TRACKER".payload
            END,
            retry_count = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                ELSE "STEP_TRACKER".retry_count
            END,
            available_ts = CASE
                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                ELSE "STEP_TRACKER".available_ts
            END,
            claimed_by = CASE
                WHEN change.type = 'claimed' THEN change.claimed_by
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claimed_by
            END,
            incarnation = CASE
                WHEN change.type = 'claimed' THEN change.incarnation
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".incarnation
            END,
            claim_token = CASE
                WHEN change.type = 'claimed' THEN change.claim_token
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claim_token
            END,
            result = CASE
                WHEN change.type = 'completed' THEN change.result
                ELSE "STEP_TRACKER".result
            END,
            error = CASE
                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                WHEN change.type IN ('completed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".error
            END,
            traceback = CASE
                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                ELSE "STEP_TRACKER".traceback
            END,
            task_type = CASE
                WHEN change.type = 'replaced' THEN change.task_type
                ELSE "STEP_TRACKER".task_type
            END,
            labels = CASE
                WHEN change.type = 'replaced' THEN change.labels
                ELSE "STEP_TRACKER".labels
            END,
            parents = CASE
                WHEN change.type = 'parents_added' THEN change.parents
                ELSE "STEP_TRACKER".parents
            END,
            start_by_ts = CASE
                WHEN change.type = 'replaced' THEN change.start_by_ts
                WHEN change.type IN ('replayed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".start_by_ts
            END,
            snoozes = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                ELSE "STEP_TRACKER".snoozes
            END,
            checkpoint = CASE
                WHEN change.type = 'checkpointed' THEN change.checkpoint
                WHEN change.type = 'replaced' THEN NULL
                ELSE "STEP_TRACKER".checkpoint
            END,
            last_update_ts = CURRENT_TIMESTAMP(),
            version = "STEP_TRACKER".version + 1,
            change_id = :change_id,
            change_type = change.type,
            change_token = change.claim_token,
            changed_for = change.pod_id
        FROM (
            SELECT
                step_id, version, :pod_id AS pod_id, 'cancelled' AS type,
                NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                NULL AS incarnation, NULL AS claim_token, NULL AS result, :error AS error,
                NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                NULL AS start_by_ts, NULL AS checkpoint
            FROM "STEP_TRACKER"
            WHERE status IN ('pending', 'waiting')
                AND (
                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                    AND COALESCE(snoozes, 0) = 0
                )
            QUALIFY ROW_NUMBER() OVER (ORDER BY start_by_ts, step_id) <= :most
        ) AS change
        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
        changed := SQLROWCOUNT;
        IF (changed > 0) THEN
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id;
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE status = 'waiting'
                AND step_id IN (
                    SELECT parent.step_id
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE parent.parent_change_id = :change_id
                );
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id || ' settled',
                change_type = change.type,
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id,
                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                    NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                    NULL AS incarnation, NULL AS claim_token, NULL AS result,
                    CASE
                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                    END AS error,
                    NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                    NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        step_id, version,
                        COALESCE(
                            MAX(
                                CASE
                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                        THEN parent_changed_for
                                END
                            ),
                            MAX(changed_for)
                        ) AS pod_id,
                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                            AS cancelled_parent
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE status = 'waiting'
                    GROUP BY step_id, version
                ) AS child
                WHERE open_parents = 0 OR lost_parents > 0
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            more := SQLROWCOUNT;
            IF (more > 0) THEN
                FOR level IN 2 TO 20 DO
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT
                                step_id, version, pod_id,
                                CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                NULL AS priority, NULL AS payload, NULL AS available_ts,
                                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                NULL AS result,
                                CASE
                                    WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                    WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                END AS error,
                                NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COALESCE(
                                        MAX(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                    THEN parent_changed_for
                                            END
                                        ),
                                        MAX(changed_for)
                                    ) AS pod_id,
                                    COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                    COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                    MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                    MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                        AS cancelled_parent
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE status = 'waiting'
                                GROUP BY step_id, version
                            ) AS child
                            WHERE open_parents = 0 OR lost_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                    END IF;
                END FOR;
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id || ' settled';
            END IF;
        END IF;
        COMMIT;
    END IF;
    LET answer RESULTSET := (SELECT :changed AS changed);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/fold_heartbeats
CREATE OR REPLACE PROCEDURE "FLEET_Q_FOLD_HEARTBEATS_11"(
    may_be_unsettled BOOLEAN,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    old NUMBER(38, 0) DEFAULT 0;
    unsettled NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    expired NUMBER(38, 0) DEFAULT 0;
BEGIN
    found := (SELECT COUNT(*) FROM "POD_HEARTBEATS");
    IF (found > 0) THEN
        BEGIN TRANSACTION;
        UPDATE "POD_HEALTH"
        SET last_heartbeat_ts = latest.heartbeat_ts
        FROM (
            SELECT pod_id, incarnation, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest
        WHERE "POD_HEALTH".pod_id = latest.pod_id AND "POD_HEALTH".incarnation = latest.incarnation
            AND "POD_HEALTH".last_heartbeat_ts < latest.heartbeat_ts;
        DELETE FROM "POD_HEARTBEATS"
        USING (SELECT pod_id, incarnation, last_heartbeat_ts FROM "POD_HEALTH") AS pod
        WHERE "POD_HEARTBEATS".pod_id = pod.pod_id
            AND (
                "POD_HEARTBEATS".incarnation <> pod.incarnation
                OR "POD_HEARTBEATS".heartbeat_ts <= pod.last_heartbeat_ts
            );
        COMMIT;
    END IF;
    found := (SELECT COUNT(*) FROM "STEP_PROGRESS");
    IF (found > 0) THEN
        BEGIN TRANSACTION;
        UPDATE "STEP_PROGRESS"
        SET change_id = :change_id
        WHERE change_id IS NULL;
        UPDATE "STEP_TRACKER"
        SET progress = latest.progress
        FROM (
            SELECT step_id, claim_token, progress
            FROM "STEP_PROGRESS"
            WHERE change_id = :change_id
            QUALIFY ROW_NUMBER() OVER (
                PARTITION BY step_id, claim_token ORDER BY reported_ts DESC, progress DESC
            ) = 1
        ) AS latest
        WHERE "STEP_TRACKER".step_id = latest.step_id AND "STEP_TRACKER".claim_token = latest.claim_token;
        DELETE FROM "STEP_PROGRESS"
        WHERE change_id = :change_id;
        COMMIT;
    END IF;
    SELECT (SELECT COUNT(*) FROM "SYNC_REQUESTS"
    WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP())), (SELECT COUNT(*)
    FROM "STEP_TRACKER"
    WHERE status IN ('pending', 'waiting')
        AND (
            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
            AND COALESCE(snoozes, 0) = 0
        ))
    INTO :old, :expired
    FROM (SELECT 1 AS one);
    IF (old > 0) THEN
        DELETE FROM "SYNC_REQUESTS"
        WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP());
    END IF;
    IF (may_be_unsettled) THEN
        unsettled := (SELECT (
                SELECT COUNT(*)
                FROM (
                    SELECT step_id
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE status = 'waiting'
                    GROUP BY step_id
                    HAVING COUNT(CASE WHEN is_open THEN 1 END) = 0
                        OR COUNT(CASE WHEN is_lost THEN 1 END) > 0
                ) AS waiting
            ) + (SELECT COUNT(*) FROM (
                SELECT
                    step_id, version,
                    COUNT(
                        CASE
                            WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
                        END
                    ) AS parents_back,
                    COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
                FROM (
                    SELECT
                        parent.*,
                        kind = 'success'
                            AND error IN (
                                'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                            ) AS is_named
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE status = 'cancelled' AND error LIKE 'parent %'
                ) AS edge
                GROUP BY step_id, version
                HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
            ) AS fallen WHERE named_parents > 0));
        IF (unsettled > 0) THEN
            BEGIN TRANSACTION;
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id || ' settled',
                change_type = change.type,
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT step_id, version, NULL AS pod_id, 'restored' AS type, NULL AS priority,
                    NULL AS payload, NULL AS available_ts, NULL AS claimed_by, NULL AS incarnation,
                    NULL AS claim_token, NULL AS result, NULL AS error, NULL AS traceback,
                    NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                    NULL AS checkpoint
                FROM (
                    SELECT
                        step_id, version,
                        COUNT(
                            CASE
                                WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
                            END
                        ) AS parents_back,
                        COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
                    FROM (
                        SELECT
                            parent.*,
                            kind = 'success'
                                AND error IN (
                                    'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                                ) AS is_named
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE status = 'cancelled' AND error LIKE 'parent %'
                    ) AS edge
                    GROUP BY step_id, version
                    HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
                ) AS fallen
                WHERE named_parents > 0
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            more := SQLROWCOUNT;
            IF (more > 0) THEN
                FOR level IN 2 TO 20 DO
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT step_id, version, NULL AS pod_id, 'restored' AS type, NULL AS priority,
                                NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                                NULL AS incarnation, NULL AS claim_token, NULL AS result,
                                NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COUNT(
                                        CASE
                                            WHEN parent_change_id IN (:change_id, :change_id || ' settled') AND is_open THEN 1
                                        END
                                    ) AS parents_back,
                                    COUNT(CASE WHEN is_named AND parent_status IS NOT NULL THEN 1 END) AS named_parents
                                FROM (
                                    SELECT
                                        parent.*,
                                        kind = 'success'
                                            AND error IN (
                                                'parent ' || parent_id || ' failed', 'parent ' || parent_id || ' was cancelled'
                                            ) AS is_named
                                    FROM (
                                        SELECT
                                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                            parent.changed_for AS parent_changed_for,
                                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                        FROM (
                                            SELECT
                                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                                one.key AS parent_id, one.value::VARCHAR AS kind
                                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                            WHERE child.parents IS NOT NULL
                                        ) AS edge
                                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                    ) AS parent
                                    WHERE status = 'cancelled' AND error LIKE 'parent %'
                                ) AS edge
                                GROUP BY step_id, version
                                HAVING COUNT(CASE WHEN is_lost THEN 1 END) = 0 AND COUNT(CASE WHEN is_named THEN 1 END) > 0
                            ) AS fallen
                            WHERE named_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                    END IF;
                END FOR;
            ELSE
                more := 1;
                FOR level IN 1 TO 20 DO
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT
                                step_id, version, pod_id,
                                CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                NULL AS priority, NULL AS payload, NULL AS available_ts,
                                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                NULL AS result,
                                CASE
                                    WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                    WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                END AS error,
                                NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COALESCE(
                                        MAX(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                    THEN parent_changed_for
                                            END
                                        ),
                                        MAX(changed_for)
                                    ) AS pod_id,
                                    COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                    COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                    MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                    MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                        AS cancelled_parent
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE status = 'waiting'
                                GROUP BY step_id, version
                            ) AS child
                            WHERE open_parents = 0 OR lost_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                    END IF;
                END FOR;
            END IF;
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id || ' settled';
            unsettled := SQLROWCOUNT;
            COMMIT;
        END IF;
    END IF;
    LET answer RESULTSET := (SELECT :unsettled + :expired AS unsettled);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/prune_pod
CREATE OR REPLACE PROCEDURE "FLEET_Q_PRUNE_POD_11"(
    pod_id VARCHAR,
    incarnation VARCHAR,
    version NUMBER(38, 0),
    last_heartbeat_ts NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    pruned NUMBER(38, 0) DEFAULT 0;
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    DELETE FROM "POD_HEALTH"
    USING (
        SELECT
            pod_id, status, birth_ts,
            GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts,
            incarnation, version, description
        FROM "POD_HEALTH"
        LEFT JOIN (
            SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest ON sender_id = pod_id AND sent_by = incarnation
    ) AS pod
    WHERE "POD_HEALTH".pod_id = :pod_id AND "POD_HEALTH".incarnation = :incarnation
        AND "POD_HEALTH".version = :version AND pod.pod_id = :pod_id
        AND pod.last_heartbeat_ts = TO_TIMESTAMP_LTZ(:last_heartbeat_ts, 6);
    pruned := SQLROWCOUNT;
    IF (pruned > 0) THEN
        DELETE FROM "POD_EVENTS"
        WHERE pod_id = :pod_id;
        events := SQLROWCOUNT;
        DELETE FROM "POD_HEARTBEATS"
        WHERE pod_id = :pod_id;
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT :pruned AS pruned, :events AS events);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/prune_steps
CREATE OR REPLACE PROCEDURE "FLEET_Q_PRUNE_STEPS_11"(
    ended VARCHAR,
    before NUMBER(38, 0),
    pod_id VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    pruned NUMBER(38, 0) DEFAULT 0;
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    DELETE FROM "STEP_TRACKER"
    USING (
        SELECT value[0]::VARCHAR AS step_id, value[1]::NUMBER(38, 0) AS version
        FROM TABLE(FLATTEN(input => PARSE_JSON(:ended)))
    ) AS ended
    WHERE "STEP_TRACKER".step_id = ended.step_id AND "STEP_TRACKER".version = ended.version
        AND "STEP_TRACKER".last_update_ts <= TO_TIMESTAMP_LTZ(:before, 6)
        AND "STEP_TRACKER".step_id NOT IN (
            SELECT one.key
            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
            WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
        );
    pruned := SQLROWCOUNT;
    DELETE FROM "STEP_EVENTS"
    WHERE step_id IN (
        SELECT ended.value[0]::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:ended))) AS ended
        WHERE NOT EXISTS (
            SELECT 1
            FROM "STEP_TRACKER" AS step
            WHERE step.step_id = ended.value[0]::VARCHAR
        )
    );
    events := SQLROWCOUNT;
    IF (events > 0) THEN
        INSERT INTO "STEP_EVENTS" (step_id, version, type, event_ts, pod_id, change_id)
        SELECT '', COALESCE(MIN(version), 1) - :events + 1, 'pruned', CURRENT_TIMESTAMP(), :pod_id,
            :change_id
        FROM "STEP_EVENTS";
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT :pruned AS pruned, :events AS events);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/recover
CREATE OR REPLACE PROCEDURE "FLEET_Q_RECOVER_11"(
    claims VARCHAR,
    claim_count NUMBER(38, 0),
    error VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "STEP_TRACKER"
    SET
        status = CASE change.type
            WHEN 'claimed' THEN 'claimed'
            WHEN 'completed' THEN 'completed'
            WHEN 'retried' THEN 'pending'
            WHEN 'released' THEN 'pending'
            WHEN 'recovered' THEN 'pending'
            WHEN 'failed' THEN 'failed'
            WHEN 'cancelled' THEN 'cancelled'
            WHEN 'replayed' THEN 'pending'
            WHEN 'ready' THEN 'pending'
            WHEN 'parents_added' THEN 'waiting'
            WHEN 'restored' THEN 'waiting'
            WHEN 'snoozed' THEN 'pending'
            WHEN 'checkpointed' THEN 'claimed'
            WHEN 'replaced' THEN 'pending'
            WHEN 'reprioritized' THEN 'pending'
            WHEN 'rejected' THEN 'failed'
        END,
        priority = CASE
            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
            ELSE "STEP_TRACKER".priority
        END,
        payload = CASE
            WHEN change.type = 'replaced' THEN change.payload
            ELSE "STEP_TRACKER".payload
        END,
        retry_count = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
            ELSE "STEP_TRACKER".retry_count
        END,
        available_ts = CASE
            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
            ELSE "STEP_TRACKER".available_ts
        END,
        claimed_by = CASE
            WHEN change.type = 'claimed' THEN change.claimed_by
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claimed_by
        END,
        incarnation = CASE
            WHEN change.type = 'claimed' THEN change.incarnation
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".incarnation
        END,
        claim_token = CASE
            WHEN change.type = 'claimed' THEN change.claim_token
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claim_token
        END,
        result = CASE
            WHEN change.type = 'completed' THEN change.result
            ELSE "STEP_TRACKER".result
        END,
        error = CASE
            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
            WHEN change.type IN ('completed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".error
        END,
        traceback = CASE
            WHEN change.type IN ('retried', 'failed') THEN change.traceback
            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
            ELSE "STEP_TRACKER".traceback
        END,
        task_type = CASE
            WHEN change.type = 'replaced' THEN change.task_type
            ELSE "STEP_TRACKER".task_type
        END,
        labels = CASE
            WHEN change.type = 'replaced' THEN change.labels
            ELSE "STEP_TRACKER".labels
        END,
        parents = CASE
            WHEN change.type = 'parents_added' THEN change.parents
            ELSE "STEP_TRACKER".parents
        END,
        start_by_ts = CASE
            WHEN change.type = 'replaced' THEN change.start_by_ts
            WHEN change.type IN ('replayed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".start_by_ts
        END,
        snoozes = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
            ELSE "STEP_TRACKER".snoozes
        END,
        checkpoint = CASE
            WHEN change.type = 'checkpointed' THEN change.checkpoint
            WHEN change.type = 'replaced' THEN NULL
            ELSE "STEP_TRACKER".checkpoint
        END,
        last_update_ts = CURRENT_TIMESTAMP(),
        version = "STEP_TRACKER".version + 1,
        change_id = :change_id,
        change_type = change.type,
        change_token = change.claim_token,
        changed_for = change.pod_id
    FROM (
        SELECT
            held.step_id, held.version, :pod_id AS pod_id,
            CASE
                WHEN held.retry_count < held.max_retries THEN 'recovered'
                WHEN claim.never_began THEN 'released'
                ELSE 'failed'
            END AS type,
            NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
            NULL AS claimed_by, NULL AS incarnation, held.claim_token AS claim_token,
            NULL AS result, REPLACE(:error, '{}', held.claimed_by) AS error, NULL AS traceback,
            NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
            NULL AS checkpoint
        FROM "STEP_TRACKER" AS held
        JOIN (
            SELECT
                value[0]::VARCHAR AS step_id, value[1]::VARCHAR AS claim_token,
                value[2]::BOOLEAN AS never_began
            FROM TABLE(FLATTEN(input => PARSE_JSON(:claims)))
        ) AS claim ON held.step_id = claim.step_id AND held.claim_token = claim.claim_token
        WHERE held.status = 'claimed'
            AND NOT EXISTS (
                SELECT 1
                FROM "POD_HEALTH" AS pod
                WHERE pod.pod_id = held.claimed_by AND pod.incarnation = held.incarnation
                    AND pod.status <> 'down'
            )
    ) AS change
    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
    changed := SQLROWCOUNT;
    IF (changed < claim_count) THEN
        UPDATE "STEP_TRACKER"
        SET
            status = CASE change.type
                WHEN 'claimed' THEN 'claimed'
                WHEN 'completed' THEN 'completed'
                WHEN 'retried' THEN 'pending'
                WHEN 'released' THEN 'pending'
                WHEN 'recovered' THEN 'pending'
                WHEN 'failed' THEN 'failed'
                WHEN 'cancelled' THEN 'cancelled'
                WHEN 'replayed' THEN 'pending'
                WHEN 'ready' THEN 'pending'
                WHEN 'parents_added' THEN 'waiting'
                WHEN 'restored' THEN 'waiting'
                WHEN 'snoozed' THEN 'pending'
                WHEN 'checkpointed' THEN 'claimed'
                WHEN 'replaced' THEN 'pending'
                WHEN 'reprioritized' THEN 'pending'
                WHEN 'rejected' THEN 'failed'
            END,
            priority = CASE
                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                ELSE "STEP_TRACKER".priority
            END,
            payload = CASE
                WHEN change.type = 'replaced' THEN change.payload
                ELSE "STEP_TRACKER".payload
            END,
            retry_count = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                ELSE "STEP_TRACKER".retry_count
            END,
            available_ts = CASE
                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                ELSE "STEP_TRACKER".available_ts
            END,
            claimed_by = CASE
                WHEN change.type = 'claimed' THEN change.claimed_by
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claimed_by
            END,
            incarnation = CASE
                WHEN change.type = 'claimed' THEN change.incarnation
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".incarnation
            END,
            claim_token = CASE
                WHEN change.type = 'claimed' THEN change.claim_token
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claim_token
            END,
            result = CASE
                WHEN change.type = 'completed' THEN change.result
                ELSE "STEP_TRACKER".result
            END,
            error = CASE
                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                WHEN change.type IN ('completed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".error
            END,
            traceback = CASE
                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                ELSE "STEP_TRACKER".traceback
            END,
            task_type = CASE
                WHEN change.type = 'replaced' THEN change.task_type
                ELSE "STEP_TRACKER".task_type
            END,
            labels = CASE
                WHEN change.type = 'replaced' THEN change.labels
                ELSE "STEP_TRACKER".labels
            END,
            parents = CASE
                WHEN change.type = 'parents_added' THEN change.parents
                ELSE "STEP_TRACKER".parents
            END,
            start_by_ts = CASE
                WHEN change.type = 'replaced' THEN change.start_by_ts
                WHEN change.type IN ('replayed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".start_by_ts
            END,
            snoozes = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                ELSE "STEP_TRACKER".snoozes
            END,
            checkpoint = CASE
                WHEN change.type = 'checkpointed' THEN change.checkpoint
                WHEN change.type = 'replaced' THEN NULL
                ELSE "STEP_TRACKER".checkpoint
            END,
            last_update_ts = CURRENT_TIMESTAMP(),
            version = "STEP_TRACKER".version + 1,
            change_id = :change_id,
            change_type = change.type,
            change_token = change.claim_token,
            changed_for = change.pod_id
        FROM (
            SELECT
                held.step_id, held.version, :pod_id AS pod_id,
                CASE
                    WHEN held.retry_count < held.max_retries THEN 'recovered'
                    WHEN claim.never_began THEN 'released'
                    ELSE 'failed'
                END AS type,
                NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                NULL AS claimed_by, NULL AS incarnation, held.claim_token AS claim_token,
                NULL AS result, REPLACE(:error, '{}', held.claimed_by) AS error, NULL AS traceback,
                NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                NULL AS checkpoint
            FROM "STEP_TRACKER" AS held
            JOIN (
                SELECT
                    value[0]::VARCHAR AS step_id, value[1]::VARCHAR AS claim_token,
                    value[2]::BOOLEAN AS never_began
                FROM TABLE(FLATTEN(input => PARSE_JSON(:claims)))
            ) AS claim ON held.step_id = claim.step_id AND held.claim_token = claim.claim_token
            WHERE held.status = 'claimed'
                AND NOT EXISTS (
                    SELECT 1
                    FROM "POD_HEALTH" AS pod
                    WHERE pod.pod_id = held.claimed_by AND pod.incarnation = held.incarnation
                        AND pod.status <> 'down'
                )
        ) AS change
        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
        more := SQLROWCOUNT;
    END IF;
    IF (more > 0) THEN
        changed := (SELECT :changed + :more);
    END IF;
    IF (changed > 0) THEN
        INSERT INTO "STEP_EVENTS" (
            step_id, version, type, event_ts, pod_id, change_id,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
            claim_token, incarnation, result, error, traceback, checkpoint
        )
        SELECT
            step_id, version, change_type, last_update_ts, changed_for, change_id,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
            CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                THEN priority END,
            CASE WHEN change_type = 'submitted' THEN max_retries END,
            CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                THEN available_ts END,
            CASE WHEN change_type = 'submitted' THEN queue END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
            CASE WHEN change_type = 'submitted' THEN key END,
            CASE WHEN change_type = 'submitted' THEN unique_key END,
            CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
            CASE WHEN change_type = 'submitted' THEN timeout END,
            CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
            CASE WHEN change_type = 'submitted' THEN workflow_id END,
            CASE WHEN change_type = 'submitted' THEN spawned_by END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END, change_token,
            CASE WHEN change_type = 'claimed' THEN incarnation END,
            CASE WHEN change_type = 'completed' THEN result END,
            CASE
                WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                    OR (change_type = 'cancelled'
                        AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                    THEN error
            END,
            CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
            CASE WHEN change_type = 'checkpointed' THEN checkpoint END
        FROM "STEP_TRACKER"
        WHERE change_id = :change_id
            AND (
                status NOT IN ('completed', 'failed', 'cancelled')
                OR NOT EXISTS (SELECT 1 FROM "STEP_TRACKER" AS other WHERE other.status = 'waiting')
            );
        appended := SQLROWCOUNT;
        IF (appended < changed) THEN
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id AND status IN ('completed', 'failed', 'cancelled')
                AND step_id NOT IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id);
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE status = 'waiting'
                AND step_id IN (
                    SELECT parent.step_id
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE parent.parent_change_id = :change_id
                );
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id || ' settled',
                change_type = change.type,
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id,
                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                    NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                    NULL AS incarnation, NULL AS claim_token, NULL AS result,
                    CASE
                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                    END AS error,
                    NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                    NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        step_id, version,
                        COALESCE(
                            MAX(
                                CASE
                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                        THEN parent_changed_for
                                END
                            ),
                            MAX(changed_for)
                        ) AS pod_id,
                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                            AS cancelled_parent
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE status = 'waiting'
                    GROUP BY step_id, version
                ) AS child
                WHERE open_parents = 0 OR lost_parents > 0
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            more := SQLROWCOUNT;
            IF (more > 0) THEN
                FOR level IN 2 TO 20 DO
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT
                                step_id, version, pod_id,
                                CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                NULL AS priority, NULL AS payload, NULL AS available_ts,
                                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                NULL AS result,
                                CASE
                                    WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                    WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                END AS error,
                                NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COALESCE(
                                        MAX(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                    THEN parent_changed_for
                                            END
                                        ),
                                        MAX(changed_for)
                                    ) AS pod_id,
                                    COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                    COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                    MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                    MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                        AS cancelled_parent
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE status = 'waiting'
                                GROUP BY step_id, version
                            ) AS child
                            WHERE open_parents = 0 OR lost_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                    END IF;
                END FOR;
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id || ' settled';
            END IF;
        END IF;
    END IF;
    COMMIT;
    LET answer RESULTSET := (SELECT step.step_id, step.status, step.priority, step.payload,
        step.retry_count, step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM "STEP_TRACKER" AS step
    WHERE step.step_id IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id));
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/replace_pods
CREATE OR REPLACE PROCEDURE "FLEET_Q_REPLACE_PODS_11"(
    pod_ids VARCHAR,
    pods VARCHAR,
    event_count NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    DELETE FROM "POD_HEALTH"
    WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))));
    UPDATE "POD_EVENTS"
    SET version = version
    WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))));
    events := SQLROWCOUNT;
    IF (events = event_count) THEN
        INSERT INTO "POD_HEALTH" (
            pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, description
        )
        SELECT
            pod.value[0]::VARCHAR, pod.value[1]::VARCHAR,
            TO_TIMESTAMP_LTZ(pod.value[2]::NUMBER(38, 0), 6),
            TO_TIMESTAMP_LTZ(pod.value[3]::NUMBER(38, 0), 6), pod.value[4]::VARCHAR,
            pod.value[5]::NUMBER(38, 0), pod.value[6]::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:pods))) AS pod;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/replace_queues
CREATE OR REPLACE PROCEDURE "FLEET_Q_REPLACE_QUEUES_11"(
    names VARCHAR,
    queues VARCHAR,
    event_count NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "FLEET_Q" SET submissions = submissions + 1;
    DELETE FROM "QUEUES"
    WHERE queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:names))));
    events := (SELECT COUNT(*)
    FROM "QUEUE_EVENTS"
    WHERE queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:names)))));
    IF (events = event_count) THEN
        INSERT INTO "QUEUES" (
            queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens,
            refilled_ts, version, last_update_ts, change_id, change_type
        )
        SELECT
            queue.value[0]::VARCHAR, queue.value[1]::NUMBER(38, 0), queue.value[2]::NUMBER(38, 0),
            queue.value[3]::NUMBER(38, 0), queue.value[4]::NUMBER(38, 0), queue.value[5]::BOOLEAN,
            queue.value[6]::NUMBER(38, 0), TO_TIMESTAMP_LTZ(queue.value[7]::NUMBER(38, 0), 6),
            queue.value[8]::NUMBER(38, 0), TO_TIMESTAMP_LTZ(queue.value[9]::NUMBER(38, 0), 6), :change_id, 'rebuilt'
        FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))) AS queue;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/replace_steps
CREATE OR REPLACE PROCEDURE "FLEET_Q_REPLACE_STEPS_11"(
    step_ids VARCHAR,
    steps VARCHAR,
    event_count NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    events NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    DELETE FROM "STEP_TRACKER"
    WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))));
    UPDATE "STEP_EVENTS"
    SET version = version
    WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))));
    events := SQLROWCOUNT;
    IF (events = event_count) THEN
        INSERT INTO "STEP_TRACKER" (
            step_id, status, priority, payload, retry_count, max_retries, created_ts,
            last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error,
            traceback, version, queue, task_type, key, unique_key, unique_until_ts, labels, timeout,
            parents, workflow_id, spawned_by, start_by_ts, snoozes, checkpoint, progress
        )
        SELECT
            step.value[0]::VARCHAR, step.value[1]::VARCHAR, step.value[2]::NUMBER(38, 0),
            step.value[3]::VARCHAR, step.value[4]::NUMBER(38, 0), step.value[5]::NUMBER(38, 0),
            TO_TIMESTAMP_LTZ(step.value[6]::NUMBER(38, 0), 6),
            TO_TIMESTAMP_LTZ(step.value[7]::NUMBER(38, 0), 6),
            TO_TIMESTAMP_LTZ(step.value[8]::NUMBER(38, 0), 6), step.value[9]::VARCHAR,
            step.value[10]::VARCHAR, step.value[11]::VARCHAR, step.value[12]::VARCHAR,
            step.value[13]::VARCHAR, step.value[14]::VARCHAR, step.value[15]::NUMBER(38, 0),
            step.value[16]::VARCHAR, step.value[17]::VARCHAR, step.value[18]::VARCHAR,
            step.value[19]::VARCHAR, TO_TIMESTAMP_LTZ(step.value[20]::NUMBER(38, 0), 6),
            step.value[21]::VARCHAR, step.value[22]::NUMBER(38, 0), step.value[23]::VARCHAR,
            step.value[24]::VARCHAR, step.value[25]::VARCHAR,
            TO_TIMESTAMP_LTZ(step.value[26]::NUMBER(38, 0), 6), step.value[27]::NUMBER(38, 0),
            step.value[28]::VARCHAR, step.value[29]::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:steps))) AS step;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :events AS events);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/save_checkpoint
CREATE OR REPLACE PROCEDURE "FLEET_Q_SAVE_CHECKPOINT_11"(
    step_id VARCHAR,
    claim_token VARCHAR,
    step_version NUMBER(38, 0),
    checkpoint VARCHAR,
    pod_id VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "STEP_TRACKER"
    SET
        status = CASE change.type
            WHEN 'claimed' THEN 'claimed'
            WHEN 'completed' THEN 'completed'
            WHEN 'retried' THEN 'pending'
            WHEN 'released' THEN 'pending'
            WHEN 'recovered' THEN 'pending'
            WHEN 'failed' THEN 'failed'
            WHEN 'cancelled' THEN 'cancelled'
            WHEN 'replayed' THEN 'pending'
            WHEN 'ready' THEN 'pending'
            WHEN 'parents_added' THEN 'waiting'
            WHEN 'restored' THEN 'waiting'
            WHEN 'snoozed' THEN 'pending'
            WHEN 'checkpointed' THEN 'claimed'
            WHEN 'replaced' THEN 'pending'
            WHEN 'reprioritized' THEN 'pending'
            WHEN 'rejected' THEN 'failed'
        END,
        priority = CASE
            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
            ELSE "STEP_TRACKER".priority
        END,
        payload = CASE
            WHEN change.type = 'replaced' THEN change.payload
            ELSE "STEP_TRACKER".payload
        END,
        retry_count = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
            ELSE "STEP_TRACKER".retry_count
        END,
        available_ts = CASE
            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
            ELSE "STEP_TRACKER".available_ts
        END,
        claimed_by = CASE
            WHEN change.type = 'claimed' THEN change.claimed_by
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claimed_by
        END,
        incarnation = CASE
            WHEN change.type = 'claimed' THEN change.incarnation
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".incarnation
        END,
        claim_token = CASE
            WHEN change.type = 'claimed' THEN change.claim_token
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claim_token
        END,
        result = CASE
            WHEN change.type = 'completed' THEN change.result
            ELSE "STEP_TRACKER".result
        END,
        error = CASE
            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
            WHEN change.type IN ('completed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".error
        END,
        traceback = CASE
            WHEN change.type IN ('retried', 'failed') THEN change.traceback
            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
            ELSE "STEP_TRACKER".traceback
        END,
        task_type = CASE
            WHEN change.type = 'replaced' THEN change.task_type
            ELSE "STEP_TRACKER".task_type
        END,
        labels = CASE
            WHEN change.type = 'replaced' THEN change.labels
            ELSE "STEP_TRACKER".labels
        END,
        parents = CASE
            WHEN change.type = 'parents_added' THEN change.parents
            ELSE "STEP_TRACKER".parents
        END,
        start_by_ts = CASE
            WHEN change.type = 'replaced' THEN change.start_by_ts
            WHEN change.type IN ('replayed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".start_by_ts
        END,
        snoozes = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
            ELSE "STEP_TRACKER".snoozes
        END,
        checkpoint = CASE
            WHEN change.type = 'checkpointed' THEN change.checkpoint
            WHEN change.type = 'replaced' THEN NULL
            ELSE "STEP_TRACKER".checkpoint
        END,
        last_update_ts = CURRENT_TIMESTAMP(),
        version = "STEP_TRACKER".version + 1,
        change_id = :change_id,
        change_type = change.type,
        change_token = change.claim_token,
        changed_for = change.pod_id
    FROM (
        SELECT
            step.step_id, step.version, :pod_id AS pod_id, 'checkpointed' AS type,
            NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
            NULL AS incarnation, step.claim_token AS claim_token, NULL AS result, NULL AS error,
            NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
            NULL AS start_by_ts, :checkpoint AS checkpoint
        FROM "STEP_TRACKER" AS step
        WHERE step.step_id = :step_id AND step.status = 'claimed' AND step.claim_token = :claim_token
            AND step.version = :step_version
    ) AS change
    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
    changed := SQLROWCOUNT;
    IF (changed = 0) THEN
        UPDATE "STEP_TRACKER"
        SET
            status = CASE change.type
                WHEN 'claimed' THEN 'claimed'
                WHEN 'completed' THEN 'completed'
                WHEN 'retried' THEN 'pending'
                WHEN 'released' THEN 'pending'
                WHEN 'recovered' THEN 'pending'
                WHEN 'failed' THEN 'failed'
                WHEN 'cancelled' THEN 'cancelled'
                WHEN 'replayed' THEN 'pending'
                WHEN 'ready' THEN 'pending'
                WHEN 'parents_added' THEN 'waiting'
                WHEN 'restored' THEN 'waiting'
                WHEN 'snoozed' THEN 'pending'
                WHEN 'checkpointed' THEN 'claimed'
                WHEN 'replaced' THEN 'pending'
                WHEN 'reprioritized' THEN 'pending'
                WHEN 'rejected' THEN 'failed'
            END,
            priority = CASE
                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                ELSE "STEP_TRACKER".priority
            END,
            payload = CASE
                WHEN change.type = 'replaced' THEN change.payload
                ELSE "STEP_TRACKER".payload
            END,
            retry_count = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                ELSE "STEP_TRACKER".retry_count
            END,
            available_ts = CASE
                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                ELSE "STEP_TRACKER".available_ts
            END,
            claimed_by = CASE
                WHEN change.type = 'claimed' THEN change.claimed_by
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claimed_by
            END,
            incarnation = CASE
                WHEN change.type = 'claimed' THEN change.incarnation
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".incarnation
            END,
            claim_token = CASE
                WHEN change.type = 'claimed' THEN change.claim_token
                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                ELSE "STEP_TRACKER".claim_token
            END,
            result = CASE
                WHEN change.type = 'completed' THEN change.result
                ELSE "STEP_TRACKER".result
            END,
            error = CASE
                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                WHEN change.type IN ('completed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".error
            END,
            traceback = CASE
                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                ELSE "STEP_TRACKER".traceback
            END,
            task_type = CASE
                WHEN change.type = 'replaced' THEN change.task_type
                ELSE "STEP_TRACKER".task_type
            END,
            labels = CASE
                WHEN change.type = 'replaced' THEN change.labels
                ELSE "STEP_TRACKER".labels
            END,
            parents = CASE
                WHEN change.type = 'parents_added' THEN change.parents
                ELSE "STEP_TRACKER".parents
            END,
            start_by_ts = CASE
                WHEN change.type = 'replaced' THEN change.start_by_ts
                WHEN change.type IN ('replayed', 'restored') THEN NULL
                ELSE "STEP_TRACKER".start_by_ts
            END,
            snoozes = CASE
                WHEN change.type IN ('replayed', 'restored') THEN 0
                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                ELSE "STEP_TRACKER".snoozes
            END,
            checkpoint = CASE
                WHEN change.type = 'checkpointed' THEN change.checkpoint
                WHEN change.type = 'replaced' THEN NULL
                ELSE "STEP_TRACKER".checkpoint
            END,
            last_update_ts = CURRENT_TIMESTAMP(),
            version = "STEP_TRACKER".version + 1,
            change_id = :change_id,
            change_type = change.type,
            change_token = change.claim_token,
            changed_for = change.pod_id
        FROM (
            SELECT
                step.step_id, step.version, :pod_id AS pod_id, 'checkpointed' AS type,
                NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                NULL AS incarnation, step.claim_token AS claim_token, NULL AS result, NULL AS error,
                NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                NULL AS start_by_ts, :checkpoint AS checkpoint
            FROM "STEP_TRACKER" AS step
            WHERE step.step_id = :step_id AND step.status = 'claimed' AND step.claim_token = :claim_token
                AND step.version = :step_version
        ) AS change
        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
        changed := SQLROWCOUNT;
    END IF;
    IF (changed > 0) THEN
        INSERT INTO "STEP_EVENTS" (
            step_id, version, type, event_ts, pod_id, change_id,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
            claim_token, incarnation, result, error, traceback, checkpoint
        )
        SELECT
            step_id, version, change_type, last_update_ts, changed_for, change_id,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
            CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                THEN priority END,
            CASE WHEN change_type = 'submitted' THEN max_retries END,
            CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                THEN available_ts END,
            CASE WHEN change_type = 'submitted' THEN queue END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
            CASE WHEN change_type = 'submitted' THEN key END,
            CASE WHEN change_type = 'submitted' THEN unique_key END,
            CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
            CASE WHEN change_type = 'submitted' THEN timeout END,
            CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
            CASE WHEN change_type = 'submitted' THEN workflow_id END,
            CASE WHEN change_type = 'submitted' THEN spawned_by END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END, change_token,
            CASE WHEN change_type = 'claimed' THEN incarnation END,
            CASE WHEN change_type = 'completed' THEN result END,
            CASE
                WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                    OR (change_type = 'cancelled'
                        AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                    THEN error
            END,
            CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
            CASE WHEN change_type = 'checkpointed' THEN checkpoint END
        FROM "STEP_TRACKER"
        WHERE change_id = :change_id;
        COMMIT;
    ELSE
        UPDATE "STEP_TRACKER"
        SET version = version
        WHERE step_id = :step_id AND status = 'claimed' AND claim_token = :claim_token
            AND version = :step_version + 1 AND checkpoint = :checkpoint;
        changed := SQLROWCOUNT;
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :changed AS saved);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/set_queue
CREATE OR REPLACE PROCEDURE "FLEET_Q_SET_QUEUE_11"(
    queue VARCHAR,
    new_version NUMBER(38, 0),
    event_type VARCHAR,
    max_running NUMBER(38, 0),
    max_running_per_key NUMBER(38, 0),
    rate_count NUMBER(38, 0),
    rate_period NUMBER(38, 0),
    paused BOOLEAN,
    begins_rate BOOLEAN,
    tokens NUMBER(38, 0),
    changed_by VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    changed NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "FLEET_Q" SET submissions = submissions + 1;
    UPDATE "QUEUES"
    SET refilled_ts = LEAST(refilled_ts, DATEADD(second, 300, CURRENT_TIMESTAMP()));
    UPDATE "STEP_TRACKER"
    SET version = version
    WHERE status = 'pending' AND queue = :queue;
    IF (new_version > 1) THEN
        UPDATE "QUEUES"
        SET
            max_running = :max_running,
            max_running_per_key = :max_running_per_key,
            tokens = CASE WHEN :begins_rate THEN :tokens ELSE tokens END,
            refilled_ts = CASE WHEN :begins_rate THEN CURRENT_TIMESTAMP() ELSE refilled_ts END,
            rate_count = :rate_count,
            rate_period = :rate_period,
            paused = :paused,
            version = :new_version,
            last_update_ts = CURRENT_TIMESTAMP(),
            change_id = :change_id,
            change_type = :event_type,
            changed_by = :changed_by
        WHERE queue = :queue AND version = :new_version - 1;
        changed := SQLROWCOUNT;
    ELSEIF (new_version = 1) THEN
        INSERT INTO "QUEUES" (
            queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens,
            refilled_ts, version, last_update_ts, change_id, change_type, changed_by
        )
        SELECT
            :queue, :max_running, :max_running_per_key, :rate_count, :rate_period, :paused, :tokens,
            CASE WHEN :rate_count IS NULL THEN TO_TIMESTAMP_LTZ(0, 6) ELSE CURRENT_TIMESTAMP() END,
            :new_version, CURRENT_TIMESTAMP(), :change_id, :event_type, :changed_by
        WHERE NOT EXISTS (SELECT 1 FROM "QUEUES" WHERE queue = :queue);
        changed := SQLROWCOUNT;
    END IF;
    IF (changed > 0) THEN
        INSERT INTO "QUEUE_EVENTS" (
            queue, version, type, event_ts, changed_by, max_running, max_running_per_key,
            rate_count, rate_period, paused, change_id
        )
        SELECT
            queue, version, change_type, last_update_ts, changed_by, max_running, max_running_per_key,
            rate_count, rate_period, paused, change_id
        FROM "QUEUES"
        WHERE change_id = :change_id;
        INSERT INTO "STEP_EVENTS" (step_id, version, type, event_ts, pod_id, change_id)
        SELECT '', 1, 'queue', CURRENT_TIMESTAMP(), NULL, :change_id;
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT queue.queue, queue.max_running, queue.max_running_per_key,
        queue.rate_count, queue.rate_period, queue.paused, queue.tokens,
        DATE_PART(epoch_microsecond, queue.refilled_ts), queue.version,
        DATE_PART(epoch_microsecond, queue.last_update_ts)
    FROM "QUEUES" AS queue
    WHERE queue.change_id = :change_id);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/spawn
CREATE OR REPLACE PROCEDURE "FLEET_Q_SPAWN_11"(
    outcomes VARCHAR,
    outcome_count NUMBER(38, 0),
    submissions VARCHAR,
    attached VARCHAR,
    outside VARCHAR,
    is_checked BOOLEAN,
    with_parents BOOLEAN,
    replacing NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    accepted VARCHAR DEFAULT '[]';
    needed VARCHAR DEFAULT '[]';
    changed NUMBER(38, 0) DEFAULT 0;
    waits NUMBER(38, 0) DEFAULT 0;
    circles NUMBER(38, 0) DEFAULT 0;
    more NUMBER(38, 0) DEFAULT 0;
    state NUMBER(38, 0) DEFAULT 0;
BEGIN
    needed := outside;
    BEGIN TRANSACTION;
    UPDATE "STEP_TRACKER"
    SET
        status = CASE change.type
            WHEN 'claimed' THEN 'claimed'
            WHEN 'completed' THEN 'completed'
            WHEN 'retried' THEN 'pending'
            WHEN 'released' THEN 'pending'
            WHEN 'recovered' THEN 'pending'
            WHEN 'failed' THEN 'failed'
            WHEN 'cancelled' THEN 'cancelled'
            WHEN 'replayed' THEN 'pending'
            WHEN 'ready' THEN 'pending'
            WHEN 'parents_added' THEN 'waiting'
            WHEN 'restored' THEN 'waiting'
            WHEN 'snoozed' THEN 'pending'
            WHEN 'checkpointed' THEN 'claimed'
            WHEN 'replaced' THEN 'pending'
            WHEN 'reprioritized' THEN 'pending'
            WHEN 'rejected' THEN 'failed'
        END,
        priority = CASE
            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
            ELSE "STEP_TRACKER".priority
        END,
        payload = CASE
            WHEN change.type = 'replaced' THEN change.payload
            ELSE "STEP_TRACKER".payload
        END,
        retry_count = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
            ELSE "STEP_TRACKER".retry_count
        END,
        available_ts = CASE
            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
            ELSE "STEP_TRACKER".available_ts
        END,
        claimed_by = CASE
            WHEN change.type = 'claimed' THEN change.claimed_by
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claimed_by
        END,
        incarnation = CASE
            WHEN change.type = 'claimed' THEN change.incarnation
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".incarnation
        END,
        claim_token = CASE
            WHEN change.type = 'claimed' THEN change.claim_token
            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
            ELSE "STEP_TRACKER".claim_token
        END,
        result = CASE
            WHEN change.type = 'completed' THEN change.result
            ELSE "STEP_TRACKER".result
        END,
        error = CASE
            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
            WHEN change.type IN ('completed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".error
        END,
        traceback = CASE
            WHEN change.type IN ('retried', 'failed') THEN change.traceback
            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
            ELSE "STEP_TRACKER".traceback
        END,
        task_type = CASE
            WHEN change.type = 'replaced' THEN change.task_type
            ELSE "STEP_TRACKER".task_type
        END,
        labels = CASE
            WHEN change.type = 'replaced' THEN change.labels
            ELSE "STEP_TRACKER".labels
        END,
        parents = CASE
            WHEN change.type = 'parents_added' THEN change.parents
            ELSE "STEP_TRACKER".parents
        END,
        start_by_ts = CASE
            WHEN change.type = 'replaced' THEN change.start_by_ts
            WHEN change.type IN ('replayed', 'restored') THEN NULL
            ELSE "STEP_TRACKER".start_by_ts
        END,
        snoozes = CASE
            WHEN change.type IN ('replayed', 'restored') THEN 0
            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
            ELSE "STEP_TRACKER".snoozes
        END,
        checkpoint = CASE
            WHEN change.type = 'checkpointed' THEN change.checkpoint
            WHEN change.type = 'replaced' THEN NULL
            ELSE "STEP_TRACKER".checkpoint
        END,
        last_update_ts = CURRENT_TIMESTAMP(),
        version = "STEP_TRACKER".version + 1,
        change_id = :change_id,
        change_type = change.type,
        change_token = change.claim_token,
        changed_for = change.pod_id
    FROM (
        SELECT
            held.step_id, held.version, outcome.pod_id, 'completed' AS type,
            NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
            NULL AS incarnation, outcome.claim_token AS claim_token, outcome.result AS result,
            NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
            NULL AS start_by_ts, NULL AS checkpoint
        FROM (
            SELECT
                value:pod_id::VARCHAR AS pod_id,
                value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
                value:claim_token::VARCHAR AS claim_token, value:result::VARCHAR AS result,
                value:error::VARCHAR AS error, value:traceback::VARCHAR AS traceback,
                value:permanent::BOOLEAN AS permanent,
                value:retry_delay::NUMBER(38, 0) AS retry_delay
            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
        ) AS outcome
        JOIN "STEP_TRACKER" AS held
            ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
                AND held.status = 'claimed'
    ) AS change
    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
    changed := SQLROWCOUNT;
    IF (changed = outcome_count) THEN
        state := 1;
        IF (is_checked) THEN
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE step_id IN (
                SELECT value:step_id::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            )
                OR unique_key IN (
                    SELECT value:unique_key::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                );
        END IF;
        IF (with_parents) THEN
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE step_id IN (SELECT submitted.parent_id FROM (
                SELECT new.submission_id, one.key AS parent_id
                FROM (
                    SELECT
                        value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                WHERE new.parents IS NOT NULL
            ) AS submitted);
        END IF;
        UPDATE "STEP_TRACKER"
        SET version = version
        WHERE status = 'waiting'
            AND step_id IN (
                SELECT parent.step_id
                FROM (
                    SELECT
                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                        parent.changed_for AS parent_changed_for,
                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                    FROM (
                        SELECT
                            child.step_id, child.version, child.status, child.error, child.changed_for,
                            one.key AS parent_id, one.value::VARCHAR AS kind
                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                        WHERE child.parents IS NOT NULL
                    ) AS edge
                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                ) AS parent
                WHERE parent.parent_change_id = :change_id
            );
        waits := SQLROWCOUNT;
        IF (is_checked OR with_parents) THEN
            accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
            FROM (
                SELECT submitted.submission_id
                FROM (
                    SELECT
                        submission_id, step_id, unique_key, replaces,
                        ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
                        CASE
                            WHEN unique_key IS NOT NULL
                                THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                            ELSE 1
                        END AS place_of_key
                    FROM (
                        SELECT
                            index AS number, value:submission_id::VARCHAR AS submission_id,
                            value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                            value:replaces::NUMBER(38, 0) AS replaces
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                    ) AS posted
                ) AS submitted
                LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = submitted.step_id
                LEFT JOIN "STEP_TRACKER" AS owner
                    ON owner.unique_key = submitted.unique_key AND (
                        owner.status NOT IN ('completed', 'failed', 'cancelled')
                        OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                    )
                GROUP BY submitted.submission_id
                HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
                    AND COUNT(
                        CASE
                            WHEN replaces IS NULL
                                THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                            WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                                THEN 1
                        END
                    ) = 0
            ) AS accepted);
            IF (with_parents) THEN
                accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
                FROM (
                    SELECT value::VARCHAR AS submission_id
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                ) AS one
                WHERE submission_id NOT IN (
                    SELECT submitted.submission_id
                    FROM (
                        SELECT new.submission_id, one.key AS parent_id
                        FROM (
                            SELECT
                                value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                        ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                        WHERE new.parents IS NOT NULL
                    ) AS submitted
                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = submitted.parent_id
                    LEFT JOIN (
                        SELECT value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                    ) AS own
                        ON own.submission_id = submitted.submission_id AND own.step_id = submitted.parent_id
                    WHERE parent.step_id IS NULL AND own.step_id IS NULL
                ));
            END IF;
            IF (accepted <> '[]' OR submissions = '[]') THEN
                state := 2;
            END IF;
        ELSE
            accepted := (SELECT '["' || :change_id || '"]');
            state := 2;
        END IF;
        IF (state = 2 AND waits > 0 AND outside <> '[]') THEN
            FOR level IN 1 TO 100 DO
                IF (circles = 0 AND needed <> '[]') THEN
                    circles := (SELECT COUNT(*)
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS edge
                    WHERE edge.status = 'waiting' AND edge.parent_change_id = :change_id
                        AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed)))));
                    needed := (SELECT '[' || COALESCE(LISTAGG(DISTINCT TO_JSON(TO_VARIANT(edge.parent_id)), ','), '') || ']'
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS edge
                    WHERE edge.status = 'waiting'
                        AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed)))));
                END IF;
            END FOR;
            IF (circles > 0 OR needed <> '[]') THEN
                state := 3;
            END IF;
        END IF;
    END IF;
    IF (state = 2) THEN
        INSERT INTO "STEP_TRACKER" (
            step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
            change_type, changed_for,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
        )
        SELECT
            new.value:step_id::VARCHAR,
            CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
            0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
            new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
            new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
            new.value:max_retries::NUMBER(38, 0),
            CASE
                WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
            END,
            new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
            new.value:unique_key::VARCHAR,
            DATEADD(
                microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
            ),
            new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0), new.value:parents::VARCHAR,
            new.value:workflow_id::VARCHAR, new.value:spawned_by::VARCHAR,
            DATEADD(
                microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
            )
        FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
        WHERE new.value:replaces IS NULL
            AND new.value:submission_id::VARCHAR IN (
                SELECT value::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
            );
        IF (replacing > 0) THEN
            UPDATE "STEP_TRACKER"
            SET
                payload = change.payload, priority = change.priority,
                available_ts = change.available_ts, task_type = change.task_type,
                labels = change.labels, start_by_ts = change.start_by_ts,
                checkpoint = NULL,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = change.submission_id,
                change_type = 'replaced',
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT
                    value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id,
                    value:replaces::NUMBER(38, 0) AS replaces, value:pod_id::VARCHAR AS pod_id,
                    value:payload::VARCHAR AS payload, value:priority::NUMBER(38, 0) AS priority,
                    CASE
                        WHEN value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                        ELSE DATEADD(microsecond, value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                    END AS available_ts,
                    value:task_type::VARCHAR AS task_type, value:labels::VARCHAR AS labels,
                    DATEADD(
                        microsecond, value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                    ) AS start_by_ts
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.replaces
                AND change.submission_id IN (
                    SELECT value::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                );
        END IF;
        INSERT INTO "STEP_EVENTS" (
            step_id, version, type, event_ts, pod_id, change_id,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
            claim_token, incarnation, result, error, traceback, checkpoint
        )
        SELECT
            step_id, version, change_type, last_update_ts, changed_for, change_id,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
            CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                THEN priority END,
            CASE WHEN change_type = 'submitted' THEN max_retries END,
            CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                THEN available_ts END,
            CASE WHEN change_type = 'submitted' THEN queue END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
            CASE WHEN change_type = 'submitted' THEN key END,
            CASE WHEN change_type = 'submitted' THEN unique_key END,
            CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
            CASE WHEN change_type = 'submitted' THEN timeout END,
            CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
            CASE WHEN change_type = 'submitted' THEN workflow_id END,
            CASE WHEN change_type = 'submitted' THEN spawned_by END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END, change_token,
            CASE WHEN change_type = 'claimed' THEN incarnation END,
            CASE WHEN change_type = 'completed' THEN result END,
            CASE
                WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                    OR (change_type = 'cancelled'
                        AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                    THEN error
            END,
            CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
            CASE WHEN change_type = 'checkpointed' THEN checkpoint END
        FROM "STEP_TRACKER"
        WHERE change_id = :change_id;
        IF (waits > 0) THEN
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id || ' spawned',
                change_type = change.type,
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id, 'parents_added' AS type,
                    NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                    NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error,
                    NULL AS traceback, NULL AS task_type, NULL AS labels, all_parents AS parents,
                    NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        dependent.step_id, dependent.version, added.pod_id,
                        LEFT(dependent.parents, LENGTH(dependent.parents) - 1) || ',' || added.texts || '}'
                            AS all_parents
                    FROM (
                        SELECT
                            edge.step_id, MAX(edge.parent_changed_for) AS pod_id,
                            LISTAGG(child.text || ':"' || edge.kind || '"', ',')
                                WITHIN GROUP (ORDER BY child.number) AS texts
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS edge
                        JOIN (
                            SELECT
                                index AS number, value:spawner::VARCHAR AS spawner,
                                value:child_id::VARCHAR AS child_id, value:text::VARCHAR AS text
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:attached)))
                        ) AS child
                            ON child.spawner = edge.parent_id
                        LEFT JOIN (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS known
                            ON known.step_id = edge.step_id AND known.parent_id = child.child_id
                        WHERE edge.status = 'waiting' AND edge.parent_change_id = :change_id
                            AND known.step_id IS NULL
                            AND edge.step_id NOT IN (
                                SELECT value:step_id::VARCHAR
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                            )
                        GROUP BY edge.step_id
                    ) AS added
                    JOIN "STEP_TRACKER" AS dependent ON dependent.step_id = added.step_id
                ) AS extended
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id || ' spawned';
        END IF;
        IF (waits > 0 OR with_parents) THEN
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE status = 'waiting'
                AND step_id IN (
                    SELECT parent.step_id
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE parent.parent_change_id = :change_id
                );
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id || ' settled',
                change_type = change.type,
                change_token = NULL,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id,
                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                    NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                    NULL AS incarnation, NULL AS claim_token, NULL AS result,
                    CASE
                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                    END AS error,
                    NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                    NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        step_id, version,
                        COALESCE(
                            MAX(
                                CASE
                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                        THEN parent_changed_for
                                END
                            ),
                            MAX(changed_for)
                        ) AS pod_id,
                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                            AS cancelled_parent
                    FROM (
                        SELECT
                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                            parent.changed_for AS parent_changed_for,
                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                        FROM (
                            SELECT
                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                one.key AS parent_id, one.value::VARCHAR AS kind
                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                            WHERE child.parents IS NOT NULL
                        ) AS edge
                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                    ) AS parent
                    WHERE status = 'waiting'
                    GROUP BY step_id, version
                ) AS child
                WHERE open_parents = 0 OR lost_parents > 0
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
            more := SQLROWCOUNT;
            IF (more > 0) THEN
                FOR level IN 2 TO 20 DO
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT
                                step_id, version, pod_id,
                                CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                NULL AS priority, NULL AS payload, NULL AS available_ts,
                                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                NULL AS result,
                                CASE
                                    WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                    WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                END AS error,
                                NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COALESCE(
                                        MAX(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                    THEN parent_changed_for
                                            END
                                        ),
                                        MAX(changed_for)
                                    ) AS pod_id,
                                    COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                    COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                    MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                    MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                        AS cancelled_parent
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE status = 'waiting'
                                GROUP BY step_id, version
                            ) AS child
                            WHERE open_parents = 0 OR lost_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                    END IF;
                END FOR;
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id || ' settled';
            END IF;
        END IF;
    END IF;
    LET spawned RESULTSET := (SELECT
        own.state, DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
        step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
        DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM (SELECT :state AS state) AS own
    LEFT JOIN (
        SELECT
            step_id, status, priority, payload, retry_count, max_retries, created_ts,
            last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error,
            traceback, version, queue, task_type, key, unique_key, unique_until_ts, labels, timeout,
            parents, workflow_id, spawned_by, start_by_ts, snoozes, checkpoint, progress
        FROM "STEP_TRACKER" AS owner
        WHERE (
            step_id IN (
                SELECT value:step_id::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            )
            OR (
                unique_key IN (
                    SELECT value:unique_key::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                )
                AND (
                    owner.status NOT IN ('completed', 'failed', 'cancelled')
                    OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                )
            )
        )
            OR step_id IN (SELECT submitted.parent_id FROM (
                SELECT new.submission_id, one.key AS parent_id
                FROM (
                    SELECT
                        value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                WHERE new.parents IS NOT NULL
            ) AS submitted)
    ) AS step ON own.state = 1);
    IF (state = 2) THEN
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    RETURN TABLE(spawned);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/submit
CREATE OR REPLACE PROCEDURE "FLEET_Q_SUBMIT_11"(
    submissions VARCHAR,
    submission_count NUMBER(38, 0),
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    stored NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    INSERT INTO "STEP_TRACKER" (
        step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
        change_type, changed_for,
        payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
        unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
    )
    SELECT
        new.value:step_id::VARCHAR,
        CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
        0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
        new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
        new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
        new.value:max_retries::NUMBER(38, 0),
        CASE
            WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
            ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
        END,
        new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
        new.value:unique_key::VARCHAR,
        DATEADD(
            microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
        ),
        new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0), new.value:parents::VARCHAR,
        new.value:workflow_id::VARCHAR, new.value:spawned_by::VARCHAR,
        DATEADD(
            microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
        )
    FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
    JOIN (
        SELECT submitted.submission_id
        FROM (
            SELECT
                submission_id, step_id, unique_key, replaces,
                ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
                CASE
                    WHEN unique_key IS NOT NULL
                        THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                    ELSE 1
                END AS place_of_key
            FROM (
                SELECT
                    index AS number, value:submission_id::VARCHAR AS submission_id,
                    value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                    value:replaces::NUMBER(38, 0) AS replaces
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            ) AS posted
        ) AS submitted
        LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = submitted.step_id
        LEFT JOIN "STEP_TRACKER" AS owner
            ON owner.unique_key = submitted.unique_key AND (
                owner.status NOT IN ('completed', 'failed', 'cancelled')
                OR owner.unique_until_ts > CURRENT_TIMESTAMP()
            )
        GROUP BY submitted.submission_id
        HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
            AND COUNT(
                CASE
                    WHEN replaces IS NULL
                        THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                    WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                        THEN 1
                END
            ) = 0
    ) AS accepted
        ON accepted.submission_id = new.value:submission_id::VARCHAR;
    stored := SQLROWCOUNT;
    IF (stored = submission_count) THEN
        INSERT INTO "STEP_EVENTS" (
            step_id, version, type, event_ts, pod_id, change_id,
            payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
            unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
            claim_token, incarnation, result, error, traceback, checkpoint
        )
        SELECT
            step_id, version, change_type, last_update_ts, changed_for, change_id,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
            CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                THEN priority END,
            CASE WHEN change_type = 'submitted' THEN max_retries END,
            CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                THEN available_ts END,
            CASE WHEN change_type = 'submitted' THEN queue END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
            CASE WHEN change_type = 'submitted' THEN key END,
            CASE WHEN change_type = 'submitted' THEN unique_key END,
            CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
            CASE WHEN change_type = 'submitted' THEN timeout END,
            CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
            CASE WHEN change_type = 'submitted' THEN workflow_id END,
            CASE WHEN change_type = 'submitted' THEN spawned_by END,
            CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END, change_token,
            CASE WHEN change_type = 'claimed' THEN incarnation END,
            CASE WHEN change_type = 'completed' THEN result END,
            CASE
                WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                    OR (change_type = 'cancelled'
                        AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                    THEN error
            END,
            CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
            CASE WHEN change_type = 'checkpointed' THEN checkpoint END
        FROM "STEP_TRACKER"
        WHERE change_id = :change_id;
        COMMIT;
    ELSE
        ROLLBACK;
        stored := 0;
    END IF;
    LET answer RESULTSET := (SELECT :stored AS stored);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/sync
CREATE OR REPLACE PROCEDURE "FLEET_Q_SYNC_11"(
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
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
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
        INSERT INTO "POD_HEARTBEATS" (pod_id, incarnation, heartbeat_ts)
        SELECT pod_id, incarnation,
            GREATEST(CURRENT_TIMESTAMP(), DATEADD(microsecond, 1, last_heartbeat_ts))
        FROM (
            SELECT
                pod_id, status, birth_ts,
                GREATEST(
                    last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
                ) AS last_heartbeat_ts,
                incarnation, version, description
            FROM "POD_HEALTH"
            LEFT JOIN (
                SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
                FROM "POD_HEARTBEATS"
                GROUP BY pod_id, incarnation
            ) AS latest ON sender_id = pod_id AND sent_by = incarnation
        ) AS pod
        WHERE pod_id = :pod_id AND incarnation = :incarnation
            AND status IN (
                SELECT value[0]::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
                WHERE value[2]::VARCHAR = ''
            );
        sent := SQLROWCOUNT;
    END IF;
    IF (progress <> '[]') THEN
        INSERT INTO "STEP_PROGRESS" (step_id, claim_token, progress, reported_ts)
        SELECT value[0]::VARCHAR, value[1]::VARCHAR, value[2]::VARCHAR, CURRENT_TIMESTAMP()
        FROM TABLE(FLATTEN(input => PARSE_JSON(:progress)));
    END IF;
    IF (claim > 0 AND outcome_count = 0 AND NOT is_retry) THEN
        due := (SELECT COUNT(*)
        FROM (
            SELECT 1 AS one
            FROM (
                SELECT
                    step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                    retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                FROM "STEP_TRACKER"
                WHERE status = 'pending'
                    AND (
                        available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                        OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                    )
                    AND NOT (
                        start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                        AND COALESCE(snoozes, 0) = 0
                    )
                    AND (
                        GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                        OR queue IN (
                            SELECT value::VARCHAR
                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                        )
                    )
                    AND (
                        GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                        OR task_type IN (
                            SELECT value::VARCHAR
                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                        )
                    )
                    AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                        paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                    ))
                UNION ALL
                SELECT
                    step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                FROM (
                    SELECT
                        step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                        ROW_NUMBER() OVER (
                            PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                        ) AS place_in_queue
                    FROM (
                        SELECT
                            step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                            step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                            OCTET_LENGTH(step.payload) AS size, limited.room,
                            limited.max_running_per_key AS per_key,
                            COALESCE(of_key.claimed, 0) AS claimed_of_key,
                            ROW_NUMBER() OVER (
                                PARTITION BY step.queue, step.key
                                ORDER BY step.priority DESC, step.created_ts, step.step_id
                            ) AS place_of_key
                        FROM (
                            SELECT *
                            FROM "STEP_TRACKER"
                            WHERE status = 'pending'
                                AND (
                                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                )
                                AND NOT (
                                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                    AND COALESCE(snoozes, 0) = 0
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                    OR queue IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                    )
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                    OR task_type IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                    )
                                )
                                AND :within_limits
                        ) AS step
                        JOIN (
                            SELECT
                                queue, max_running_per_key,
                                CASE
                                    WHEN paused THEN 0
                                    ELSE LEAST(
                                        COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                        COALESCE(
                                            CASE
                                                WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                    THEN SIGN(rate_period)
                                                ELSE FLOOR(LEAST(
                                                    tokens + rate_count * LEAST(
                                                        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                    ),
                                                    rate_count * rate_period
                                                ) / rate_period)
                                            END,
                                            1000000000
                                        )
                                    )
                                END AS room
                            FROM "QUEUES"
                            LEFT JOIN (
                                SELECT queue AS running_in, COUNT(*) AS claimed
                                FROM (
                                    SELECT held.queue, held.key
                                    FROM "STEP_TRACKER" AS held
                                    LEFT JOIN (
                                        SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                    ) AS ended
                                        ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                    WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                ) AS held
                                GROUP BY queue
                            ) AS running ON running_in = queue
                            WHERE (
                                paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                            )
                        ) AS limited ON limited.queue = step.queue AND limited.room > 0
                        LEFT JOIN (
                            SELECT queue, key, COUNT(*) AS claimed
                            FROM (
                                SELECT held.queue, held.key
                                FROM "STEP_TRACKER" AS held
                                LEFT JOIN (
                                    SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                ) AS ended
                                    ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                WHERE held.status = 'claimed' AND ended.step_id IS NULL
                            ) AS held
                            GROUP BY queue, key
                        ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                    ) AS candidate
                    WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                ) AS candidate_of_queue
                WHERE place_in_queue <= room
            ) AS claimable
            LIMIT 1
        ) AS due);
    END IF;
    IF (
        outcome_count > 0
        OR (claim > 0 AND due > 0)
        OR (transitions IS NOT NULL AND sent = 0 AND (due > 0 OR NOT only_if_claimable))
    ) THEN
        BEGIN TRANSACTION;
        IF (outcome_count > 0 OR (claim > 0 AND due > 0)) THEN
            IF (claim > 0 AND within_limits) THEN
                UPDATE "QUEUES"
                SET refilled_ts = LEAST(refilled_ts, DATEADD(second, 300, CURRENT_TIMESTAMP()));
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE status = 'claimed' AND queue IN (SELECT queue FROM "QUEUES" WHERE (
                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                ));
            END IF;
            UPDATE "STEP_TRACKER"
            SET
                status = CASE change.type
                    WHEN 'claimed' THEN 'claimed'
                    WHEN 'completed' THEN 'completed'
                    WHEN 'retried' THEN 'pending'
                    WHEN 'released' THEN 'pending'
                    WHEN 'recovered' THEN 'pending'
                    WHEN 'failed' THEN 'failed'
                    WHEN 'cancelled' THEN 'cancelled'
                    WHEN 'replayed' THEN 'pending'
                    WHEN 'ready' THEN 'pending'
                    WHEN 'parents_added' THEN 'waiting'
                    WHEN 'restored' THEN 'waiting'
                    WHEN 'snoozed' THEN 'pending'
                    WHEN 'checkpointed' THEN 'claimed'
                    WHEN 'replaced' THEN 'pending'
                    WHEN 'reprioritized' THEN 'pending'
                    WHEN 'rejected' THEN 'failed'
                END,
                priority = CASE
                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                    ELSE "STEP_TRACKER".priority
                END,
                payload = CASE
                    WHEN change.type = 'replaced' THEN change.payload
                    ELSE "STEP_TRACKER".payload
                END,
                retry_count = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                    ELSE "STEP_TRACKER".retry_count
                END,
                available_ts = CASE
                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                    ELSE "STEP_TRACKER".available_ts
                END,
                claimed_by = CASE
                    WHEN change.type = 'claimed' THEN change.claimed_by
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claimed_by
                END,
                incarnation = CASE
                    WHEN change.type = 'claimed' THEN change.incarnation
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".incarnation
                END,
                claim_token = CASE
                    WHEN change.type = 'claimed' THEN change.claim_token
                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                    ELSE "STEP_TRACKER".claim_token
                END,
                result = CASE
                    WHEN change.type = 'completed' THEN change.result
                    ELSE "STEP_TRACKER".result
                END,
                error = CASE
                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                    WHEN change.type IN ('completed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".error
                END,
                traceback = CASE
                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".traceback
                END,
                task_type = CASE
                    WHEN change.type = 'replaced' THEN change.task_type
                    ELSE "STEP_TRACKER".task_type
                END,
                labels = CASE
                    WHEN change.type = 'replaced' THEN change.labels
                    ELSE "STEP_TRACKER".labels
                END,
                parents = CASE
                    WHEN change.type = 'parents_added' THEN change.parents
                    ELSE "STEP_TRACKER".parents
                END,
                start_by_ts = CASE
                    WHEN change.type = 'replaced' THEN change.start_by_ts
                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                    ELSE "STEP_TRACKER".start_by_ts
                END,
                snoozes = CASE
                    WHEN change.type IN ('replayed', 'restored') THEN 0
                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                    ELSE "STEP_TRACKER".snoozes
                END,
                checkpoint = CASE
                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                    WHEN change.type = 'replaced' THEN NULL
                    ELSE "STEP_TRACKER".checkpoint
                END,
                last_update_ts = CURRENT_TIMESTAMP(),
                version = "STEP_TRACKER".version + 1,
                change_id = :change_id,
                change_type = change.type,
                change_token = change.claim_token,
                changed_for = change.pod_id
            FROM (
                SELECT
                    step_id, version, pod_id, 'claimed' AS type,
                    NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                    pod_id AS claimed_by, incarnation AS incarnation, claim_token AS claim_token,
                    NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type,
                    NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        queue.step_id, queue.version, queue.has_tries_left, request.pod_id,
                        request.incarnation, request.claim_token, request.free, request.slots,
                        queue.is_limited,
                        queue.place - request.last_place + request.claim AS place,
                        SUM(queue.size) OVER (
                            PARTITION BY request.last_place
                            ORDER BY queue.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                        ) AS bytes
                    FROM (
                        SELECT
                            step_id, version, has_tries_left, is_limited, size,
                            ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
                        FROM (
                            SELECT
                                step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                                retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                            FROM "STEP_TRACKER"
                            WHERE status = 'pending'
                                AND (
                                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                )
                                AND NOT (
                                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                    AND COALESCE(snoozes, 0) = 0
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                    OR queue IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                    )
                                )
                                AND (
                                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                    OR task_type IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                    )
                                )
                                AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                ))
                            UNION ALL
                            SELECT
                                step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                            FROM (
                                SELECT
                                    step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                    ROW_NUMBER() OVER (
                                        PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                    ) AS place_in_queue
                                FROM (
                                    SELECT
                                        step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                        step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                        OCTET_LENGTH(step.payload) AS size, limited.room,
                                        limited.max_running_per_key AS per_key,
                                        COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                        ROW_NUMBER() OVER (
                                            PARTITION BY step.queue, step.key
                                            ORDER BY step.priority DESC, step.created_ts, step.step_id
                                        ) AS place_of_key
                                    FROM (
                                        SELECT *
                                        FROM "STEP_TRACKER"
                                        WHERE status = 'pending'
                                            AND (
                                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                            )
                                            AND NOT (
                                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                                AND COALESCE(snoozes, 0) = 0
                                            )
                                            AND (
                                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                                OR queue IN (
                                                    SELECT value::VARCHAR
                                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                                )
                                            )
                                            AND (
                                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                                OR task_type IN (
                                                    SELECT value::VARCHAR
                                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                                )
                                            )
                                            AND :within_limits
                                    ) AS step
                                    JOIN (
                                        SELECT
                                            queue, max_running_per_key,
                                            CASE
                                                WHEN paused THEN 0
                                                ELSE LEAST(
                                                    COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                    COALESCE(
                                                        CASE
                                                            WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                                THEN SIGN(rate_period)
                                                            ELSE FLOOR(LEAST(
                                                                tokens + rate_count * LEAST(
                                                                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                                ),
                                                                rate_count * rate_period
                                                            ) / rate_period)
                                                        END,
                                                        1000000000
                                                    )
                                                )
                                            END AS room
                                        FROM "QUEUES"
                                        LEFT JOIN (
                                            SELECT queue AS running_in, COUNT(*) AS claimed
                                            FROM (
                                                SELECT held.queue, held.key
                                                FROM "STEP_TRACKER" AS held
                                                LEFT JOIN (
                                                    SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                ) AS ended
                                                    ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                            ) AS held
                                            GROUP BY queue
                                        ) AS running ON running_in = queue
                                        WHERE (
                                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                        )
                                    ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                    LEFT JOIN (
                                        SELECT queue, key, COUNT(*) AS claimed
                                        FROM (
                                            SELECT held.queue, held.key
                                            FROM "STEP_TRACKER" AS held
                                            LEFT JOIN (
                                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                            ) AS ended
                                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                        ) AS held
                                        GROUP BY queue, key
                                    ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                                ) AS candidate
                                WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                            ) AS candidate_of_queue
                            WHERE place_in_queue <= room
                        ) AS claimable
                        WHERE COALESCE(change_id, '') <> :change_id
                        QUALIFY place <= :claim
                    ) AS queue
                    JOIN (
                        SELECT
                            posted.pod_id, posted.incarnation, posted.claim, posted.free, posted.slots,
                            posted.claim_token,
                            SUM(posted.claim) OVER (
                                ORDER BY posted.number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                            ) AS last_place
                        FROM (
                            SELECT
                                index AS number, value:pod_id::VARCHAR AS pod_id,
                                value:incarnation::VARCHAR AS incarnation,
                                value:claim::NUMBER(38, 0) AS claim, value:free::NUMBER(38, 0) AS free,
                                value:slots::NUMBER(38, 0) AS slots,
                                value:claim_token::VARCHAR AS claim_token,
                                value:statuses::VARCHAR AS statuses
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
                        ) AS posted
                        JOIN "POD_HEALTH" AS pod
                            ON pod.pod_id = posted.pod_id AND pod.incarnation = posted.incarnation
                        WHERE posted.claim > 0 AND posted.statuses LIKE '% ' || pod.status || ' %'
                            AND NOT EXISTS (
                                SELECT 1
                                FROM "STEP_TRACKER" AS held
                                WHERE held.status = 'claimed' AND held.claim_token = posted.claim_token
                                    AND held.claimed_by = posted.pod_id
                                    AND held.incarnation = posted.incarnation
                            )
                    ) AS request
                        ON queue.place > request.last_place - request.claim
                            AND queue.place <= request.last_place
                ) AS chosen
                WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= free OR has_tries_left)
                    AND (place <= slots OR NOT is_limited)
                UNION ALL
                SELECT
                    held.step_id, held.version, outcome.pod_id,
                    CASE
                        WHEN outcome.type <> 'failed' THEN outcome.type
                        WHEN outcome.permanent OR held.retry_count >= held.max_retries THEN 'failed'
                        ELSE 'retried'
                    END AS type,
                    NULL AS priority, NULL AS payload,
                    CASE
                        WHEN outcome.retry_delay > 0
                            THEN DATEADD(microsecond, outcome.retry_delay, CURRENT_TIMESTAMP())
                        ELSE TO_TIMESTAMP_LTZ(0, 6)
                    END AS available_ts,
                    NULL AS claimed_by, NULL AS incarnation, outcome.claim_token AS claim_token,
                    outcome.result AS result, outcome.error AS error,
                    outcome.traceback AS traceback, NULL AS task_type, NULL AS labels,
                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                FROM (
                    SELECT
                        value:pod_id::VARCHAR AS pod_id,
                        value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
                        value:claim_token::VARCHAR AS claim_token, value:result::VARCHAR AS result,
                        value:error::VARCHAR AS error, value:traceback::VARCHAR AS traceback,
                        value:permanent::BOOLEAN AS permanent,
                        value:retry_delay::NUMBER(38, 0) AS retry_delay
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                ) AS outcome
                JOIN "STEP_TRACKER" AS held
                    ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
                        AND held.status = 'claimed'
            ) AS change
            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version
                AND (
                    :skip_pod_check
                    OR EXISTS (
                        SELECT 1
                        FROM "POD_HEALTH" AS pod
                        WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
                            AND pod.status IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:allowed_statuses)))
                            )
                    )
                );
            changed := SQLROWCOUNT;
            IF (claim > 0 AND changed <= outcome_count) THEN
                due := (SELECT COUNT(*)
                FROM (
                    SELECT 1 AS one
                    FROM (
                        SELECT
                            step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                            retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                        FROM "STEP_TRACKER"
                        WHERE status = 'pending'
                            AND (
                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                            )
                            AND NOT (
                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                AND COALESCE(snoozes, 0) = 0
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                OR queue IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                )
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                OR task_type IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                )
                            )
                            AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                            ))
                        UNION ALL
                        SELECT
                            step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                        FROM (
                            SELECT
                                step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                ROW_NUMBER() OVER (
                                    PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                ) AS place_in_queue
                            FROM (
                                SELECT
                                    step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                    step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                    OCTET_LENGTH(step.payload) AS size, limited.room,
                                    limited.max_running_per_key AS per_key,
                                    COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                    ROW_NUMBER() OVER (
                                        PARTITION BY step.queue, step.key
                                        ORDER BY step.priority DESC, step.created_ts, step.step_id
                                    ) AS place_of_key
                                FROM (
                                    SELECT *
                                    FROM "STEP_TRACKER"
                                    WHERE status = 'pending'
                                        AND (
                                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                        )
                                        AND NOT (
                                            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                            AND COALESCE(snoozes, 0) = 0
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                            OR queue IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                            )
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                            OR task_type IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                            )
                                        )
                                        AND :within_limits
                                ) AS step
                                JOIN (
                                    SELECT
                                        queue, max_running_per_key,
                                        CASE
                                            WHEN paused THEN 0
                                            ELSE LEAST(
                                                COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                COALESCE(
                                                    CASE
                                                        WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                            THEN SIGN(rate_period)
                                                        ELSE FLOOR(LEAST(
                                                            tokens + rate_count * LEAST(
                                                                GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                            ),
                                                            rate_count * rate_period
                                                        ) / rate_period)
                                                    END,
                                                    1000000000
                                                )
                                            )
                                        END AS room
                                    FROM "QUEUES"
                                    LEFT JOIN (
                                        SELECT queue AS running_in, COUNT(*) AS claimed
                                        FROM (
                                            SELECT held.queue, held.key
                                            FROM "STEP_TRACKER" AS held
                                            LEFT JOIN (
                                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                            ) AS ended
                                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                        ) AS held
                                        GROUP BY queue
                                    ) AS running ON running_in = queue
                                    WHERE (
                                        paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                    )
                                ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                LEFT JOIN (
                                    SELECT queue, key, COUNT(*) AS claimed
                                    FROM (
                                        SELECT held.queue, held.key
                                        FROM "STEP_TRACKER" AS held
                                        LEFT JOIN (
                                            SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                        ) AS ended
                                            ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                        WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                    ) AS held
                                    GROUP BY queue, key
                                ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                            ) AS candidate
                            WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                        ) AS candidate_of_queue
                        WHERE place_in_queue <= room
                    ) AS claimable
                    LIMIT 1
                ) AS due);
                IF (due > 0) THEN
                    UPDATE "STEP_TRACKER"
                    SET
                        status = CASE change.type
                            WHEN 'claimed' THEN 'claimed'
                            WHEN 'completed' THEN 'completed'
                            WHEN 'retried' THEN 'pending'
                            WHEN 'released' THEN 'pending'
                            WHEN 'recovered' THEN 'pending'
                            WHEN 'failed' THEN 'failed'
                            WHEN 'cancelled' THEN 'cancelled'
                            WHEN 'replayed' THEN 'pending'
                            WHEN 'ready' THEN 'pending'
                            WHEN 'parents_added' THEN 'waiting'
                            WHEN 'restored' THEN 'waiting'
                            WHEN 'snoozed' THEN 'pending'
                            WHEN 'checkpointed' THEN 'claimed'
                            WHEN 'replaced' THEN 'pending'
                            WHEN 'reprioritized' THEN 'pending'
                            WHEN 'rejected' THEN 'failed'
                        END,
                        priority = CASE
                            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                            ELSE "STEP_TRACKER".priority
                        END,
                        payload = CASE
                            WHEN change.type = 'replaced' THEN change.payload
                            ELSE "STEP_TRACKER".payload
                        END,
                        retry_count = CASE
                            WHEN change.type IN ('replayed', 'restored') THEN 0
                            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                            ELSE "STEP_TRACKER".retry_count
                        END,
                        available_ts = CASE
                            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                            ELSE "STEP_TRACKER".available_ts
                        END,
                        claimed_by = CASE
                            WHEN change.type = 'claimed' THEN change.claimed_by
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".claimed_by
                        END,
                        incarnation = CASE
                            WHEN change.type = 'claimed' THEN change.incarnation
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".incarnation
                        END,
                        claim_token = CASE
                            WHEN change.type = 'claimed' THEN change.claim_token
                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                            ELSE "STEP_TRACKER".claim_token
                        END,
                        result = CASE
                            WHEN change.type = 'completed' THEN change.result
                            ELSE "STEP_TRACKER".result
                        END,
                        error = CASE
                            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                            WHEN change.type IN ('completed', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".error
                        END,
                        traceback = CASE
                            WHEN change.type IN ('retried', 'failed') THEN change.traceback
                            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".traceback
                        END,
                        task_type = CASE
                            WHEN change.type = 'replaced' THEN change.task_type
                            ELSE "STEP_TRACKER".task_type
                        END,
                        labels = CASE
                            WHEN change.type = 'replaced' THEN change.labels
                            ELSE "STEP_TRACKER".labels
                        END,
                        parents = CASE
                            WHEN change.type = 'parents_added' THEN change.parents
                            ELSE "STEP_TRACKER".parents
                        END,
                        start_by_ts = CASE
                            WHEN change.type = 'replaced' THEN change.start_by_ts
                            WHEN change.type IN ('replayed', 'restored') THEN NULL
                            ELSE "STEP_TRACKER".start_by_ts
                        END,
                        snoozes = CASE
                            WHEN change.type IN ('replayed', 'restored') THEN 0
                            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                            ELSE "STEP_TRACKER".snoozes
                        END,
                        checkpoint = CASE
                            WHEN change.type = 'checkpointed' THEN change.checkpoint
                            WHEN change.type = 'replaced' THEN NULL
                            ELSE "STEP_TRACKER".checkpoint
                        END,
                        last_update_ts = CURRENT_TIMESTAMP(),
                        version = "STEP_TRACKER".version + 1,
                        change_id = :change_id,
                        change_type = change.type,
                        change_token = change.claim_token,
                        changed_for = change.pod_id
                    FROM (
                        SELECT
                            step_id, version, pod_id, 'claimed' AS type,
                            NULL AS priority, NULL AS payload,
                            TO_TIMESTAMP_LTZ(0, 6) AS available_ts, pod_id AS claimed_by,
                            incarnation AS incarnation, claim_token AS claim_token, NULL AS result,
                            NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
                            NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                        FROM (
                            SELECT
                                queue.step_id, queue.version, queue.has_tries_left, request.pod_id,
                                request.incarnation, request.claim_token, request.free, request.slots,
                                queue.is_limited,
                                queue.place - request.last_place + request.claim AS place,
                                SUM(queue.size) OVER (
                                    PARTITION BY request.last_place
                                    ORDER BY queue.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                                ) AS bytes
                            FROM (
                                SELECT
                                    step_id, version, has_tries_left, is_limited, size,
                                    ROW_NUMBER() OVER (ORDER BY priority DESC, created_ts, step_id) AS place
                                FROM (
                                    SELECT
                                        step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                                        retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
                                    FROM "STEP_TRACKER"
                                    WHERE status = 'pending'
                                        AND (
                                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                        )
                                        AND NOT (
                                            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                            AND COALESCE(snoozes, 0) = 0
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                            OR queue IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                            )
                                        )
                                        AND (
                                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                            OR task_type IN (
                                                SELECT value::VARCHAR
                                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                            )
                                        )
                                        AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                        ))
                                    UNION ALL
                                    SELECT
                                        step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
                                    FROM (
                                        SELECT
                                            step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                                            ROW_NUMBER() OVER (
                                                PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                                            ) AS place_in_queue
                                        FROM (
                                            SELECT
                                                step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                                                step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                                                OCTET_LENGTH(step.payload) AS size, limited.room,
                                                limited.max_running_per_key AS per_key,
                                                COALESCE(of_key.claimed, 0) AS claimed_of_key,
                                                ROW_NUMBER() OVER (
                                                    PARTITION BY step.queue, step.key
                                                    ORDER BY step.priority DESC, step.created_ts, step.step_id
                                                ) AS place_of_key
                                            FROM (
                                                SELECT *
                                                FROM "STEP_TRACKER"
                                                WHERE status = 'pending'
                                                    AND (
                                                        available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                                        OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                                                    )
                                                    AND NOT (
                                                        start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                                        AND COALESCE(snoozes, 0) = 0
                                                    )
                                                    AND (
                                                        GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                                        OR queue IN (
                                                            SELECT value::VARCHAR
                                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                                        )
                                                    )
                                                    AND (
                                                        GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                                        OR task_type IN (
                                                            SELECT value::VARCHAR
                                                            FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                                        )
                                                    )
                                                    AND :within_limits
                                            ) AS step
                                            JOIN (
                                                SELECT
                                                    queue, max_running_per_key,
                                                    CASE
                                                        WHEN paused THEN 0
                                                        ELSE LEAST(
                                                            COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                                            COALESCE(
                                                                CASE
                                                                    WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                                        THEN SIGN(rate_period)
                                                                    ELSE FLOOR(LEAST(
                                                                        tokens + rate_count * LEAST(
                                                                            GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                                        ),
                                                                        rate_count * rate_period
                                                                    ) / rate_period)
                                                                END,
                                                                1000000000
                                                            )
                                                        )
                                                    END AS room
                                                FROM "QUEUES"
                                                LEFT JOIN (
                                                    SELECT queue AS running_in, COUNT(*) AS claimed
                                                    FROM (
                                                        SELECT held.queue, held.key
                                                        FROM "STEP_TRACKER" AS held
                                                        LEFT JOIN (
                                                            SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                        ) AS ended
                                                            ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                        WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                                    ) AS held
                                                    GROUP BY queue
                                                ) AS running ON running_in = queue
                                                WHERE (
                                                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                                                )
                                            ) AS limited ON limited.queue = step.queue AND limited.room > 0
                                            LEFT JOIN (
                                                SELECT queue, key, COUNT(*) AS claimed
                                                FROM (
                                                    SELECT held.queue, held.key
                                                    FROM "STEP_TRACKER" AS held
                                                    LEFT JOIN (
                                                        SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                                    ) AS ended
                                                        ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                                    WHERE held.status = 'claimed' AND ended.step_id IS NULL
                                                ) AS held
                                                GROUP BY queue, key
                                            ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                                        ) AS candidate
                                        WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
                                    ) AS candidate_of_queue
                                    WHERE place_in_queue <= room
                                ) AS claimable
                                WHERE COALESCE(change_id, '') <> :change_id
                                QUALIFY place <= :claim
                            ) AS queue
                            JOIN (
                                SELECT
                                    posted.pod_id, posted.incarnation, posted.claim, posted.free, posted.slots,
                                    posted.claim_token,
                                    SUM(posted.claim) OVER (
                                        ORDER BY posted.number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                                    ) AS last_place
                                FROM (
                                    SELECT
                                        index AS number, value:pod_id::VARCHAR AS pod_id,
                                        value:incarnation::VARCHAR AS incarnation,
                                        value:claim::NUMBER(38, 0) AS claim, value:free::NUMBER(38, 0) AS free,
                                        value:slots::NUMBER(38, 0) AS slots,
                                        value:claim_token::VARCHAR AS claim_token,
                                        value:statuses::VARCHAR AS statuses
                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
                                ) AS posted
                                JOIN "POD_HEALTH" AS pod
                                    ON pod.pod_id = posted.pod_id AND pod.incarnation = posted.incarnation
                                WHERE posted.claim > 0 AND posted.statuses LIKE '% ' || pod.status || ' %'
                                    AND NOT EXISTS (
                                        SELECT 1
                                        FROM "STEP_TRACKER" AS held
                                        WHERE held.status = 'claimed' AND held.claim_token = posted.claim_token
                                            AND held.claimed_by = posted.pod_id
                                            AND held.incarnation = posted.incarnation
                                    )
                            ) AS request
                                ON queue.place > request.last_place - request.claim
                                    AND queue.place <= request.last_place
                        ) AS chosen
                        WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= free OR has_tries_left)
                            AND (place <= slots OR NOT is_limited)
                        UNION ALL
                        SELECT
                            held.step_id, held.version, outcome.pod_id,
                            CASE
                                WHEN outcome.type <> 'failed' THEN outcome.type
                                WHEN outcome.permanent OR held.retry_count >= held.max_retries THEN 'failed'
                                ELSE 'retried'
                            END AS type,
                            NULL AS priority, NULL AS payload,
                            CASE
                                WHEN outcome.retry_delay > 0
                                    THEN DATEADD(microsecond, outcome.retry_delay, CURRENT_TIMESTAMP())
                                ELSE TO_TIMESTAMP_LTZ(0, 6)
                            END AS available_ts,
                            NULL AS claimed_by, NULL AS incarnation,
                            outcome.claim_token AS claim_token, outcome.result AS result,
                            outcome.error AS error, outcome.traceback AS traceback,
                            NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                            NULL AS checkpoint
                        FROM (
                            SELECT
                                value:pod_id::VARCHAR AS pod_id,
                                value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
                                value:claim_token::VARCHAR AS claim_token,
                                value:result::VARCHAR AS result, value:error::VARCHAR AS error,
                                value:traceback::VARCHAR AS traceback,
                                value:permanent::BOOLEAN AS permanent,
                                value:retry_delay::NUMBER(38, 0) AS retry_delay
                            FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                        ) AS outcome
                        JOIN "STEP_TRACKER" AS held
                            ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
                                AND held.status = 'claimed'
                    ) AS change
                    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version
                        AND (
                            :skip_pod_check
                            OR EXISTS (
                                SELECT 1
                                FROM "POD_HEALTH" AS pod
                                WHERE pod.pod_id = :pod_id AND pod.incarnation = :incarnation
                                    AND pod.status IN (
                                        SELECT value::VARCHAR
                                        FROM TABLE(FLATTEN(input => PARSE_JSON(:allowed_statuses)))
                                    )
                            )
                        );
                    claimed := SQLROWCOUNT;
                END IF;
            END IF;
            IF (claim > 0 AND within_limits AND (changed > outcome_count OR claimed > 0)) THEN
                UPDATE "QUEUES"
                SET tokens = LEAST(
                    tokens + rate_count * LEAST(
                        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                    ),
                    rate_count * rate_period
                ) - change.claimed * rate_period, refilled_ts = CURRENT_TIMESTAMP()
                FROM (
                    SELECT queue AS claimed_from, COUNT(*) AS claimed
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id AND change_type = 'claimed'
                    GROUP BY queue
                ) AS change
                WHERE change.claimed_from = "QUEUES".queue AND "QUEUES".rate_count IS NOT NULL;
            END IF;
            IF (changed > 0 OR claimed > 0) THEN
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id
                    AND (
                        :within_limits OR change_type <> 'claimed'
                        OR queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                        ))
                    )
                    AND (
                        status NOT IN ('completed', 'failed', 'cancelled')
                        OR NOT EXISTS (SELECT 1 FROM "STEP_TRACKER" AS other WHERE other.status = 'waiting')
                    );
                appended := SQLROWCOUNT;
                IF (outcome_count > 0 AND appended < changed) THEN
                    INSERT INTO "STEP_EVENTS" (
                        step_id, version, type, event_ts, pod_id, change_id,
                        payload, priority, max_retries, available_ts, queue, task_type, key,
                        unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                        spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
                        checkpoint
                    )
                    SELECT
                        step_id, version, change_type, last_update_ts, changed_for, change_id,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                        CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                            THEN priority END,
                        CASE WHEN change_type = 'submitted' THEN max_retries END,
                        CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                            THEN available_ts END,
                        CASE WHEN change_type = 'submitted' THEN queue END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                        CASE WHEN change_type = 'submitted' THEN key END,
                        CASE WHEN change_type = 'submitted' THEN unique_key END,
                        CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                        CASE WHEN change_type = 'submitted' THEN timeout END,
                        CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                        CASE WHEN change_type = 'submitted' THEN workflow_id END,
                        CASE WHEN change_type = 'submitted' THEN spawned_by END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                        change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                        CASE WHEN change_type = 'completed' THEN result END,
                        CASE
                            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                OR (change_type = 'cancelled'
                                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                THEN error
                        END,
                        CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                        CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id AND status IN ('completed', 'failed', 'cancelled')
                        AND step_id NOT IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id);
                    more := SQLROWCOUNT;
                    appended := (SELECT :appended + :more);
                    IF (more > 0) THEN
                        UPDATE "STEP_TRACKER"
                        SET version = version
                        WHERE status = 'waiting'
                            AND step_id IN (
                                SELECT parent.step_id
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE parent.parent_change_id = :change_id
                            );
                        UPDATE "STEP_TRACKER"
                        SET
                            status = CASE change.type
                                WHEN 'claimed' THEN 'claimed'
                                WHEN 'completed' THEN 'completed'
                                WHEN 'retried' THEN 'pending'
                                WHEN 'released' THEN 'pending'
                                WHEN 'recovered' THEN 'pending'
                                WHEN 'failed' THEN 'failed'
                                WHEN 'cancelled' THEN 'cancelled'
                                WHEN 'replayed' THEN 'pending'
                                WHEN 'ready' THEN 'pending'
                                WHEN 'parents_added' THEN 'waiting'
                                WHEN 'restored' THEN 'waiting'
                                WHEN 'snoozed' THEN 'pending'
                                WHEN 'checkpointed' THEN 'claimed'
                                WHEN 'replaced' THEN 'pending'
                                WHEN 'reprioritized' THEN 'pending'
                                WHEN 'rejected' THEN 'failed'
                            END,
                            priority = CASE
                                WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                ELSE "STEP_TRACKER".priority
                            END,
                            payload = CASE
                                WHEN change.type = 'replaced' THEN change.payload
                                ELSE "STEP_TRACKER".payload
                            END,
                            retry_count = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                ELSE "STEP_TRACKER".retry_count
                            END,
                            available_ts = CASE
                                WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                ELSE "STEP_TRACKER".available_ts
                            END,
                            claimed_by = CASE
                                WHEN change.type = 'claimed' THEN change.claimed_by
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claimed_by
                            END,
                            incarnation = CASE
                                WHEN change.type = 'claimed' THEN change.incarnation
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".incarnation
                            END,
                            claim_token = CASE
                                WHEN change.type = 'claimed' THEN change.claim_token
                                WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                ELSE "STEP_TRACKER".claim_token
                            END,
                            result = CASE
                                WHEN change.type = 'completed' THEN change.result
                                ELSE "STEP_TRACKER".result
                            END,
                            error = CASE
                                WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                WHEN change.type IN ('completed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".error
                            END,
                            traceback = CASE
                                WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".traceback
                            END,
                            task_type = CASE
                                WHEN change.type = 'replaced' THEN change.task_type
                                ELSE "STEP_TRACKER".task_type
                            END,
                            labels = CASE
                                WHEN change.type = 'replaced' THEN change.labels
                                ELSE "STEP_TRACKER".labels
                            END,
                            parents = CASE
                                WHEN change.type = 'parents_added' THEN change.parents
                                ELSE "STEP_TRACKER".parents
                            END,
                            start_by_ts = CASE
                                WHEN change.type = 'replaced' THEN change.start_by_ts
                                WHEN change.type IN ('replayed', 'restored') THEN NULL
                                ELSE "STEP_TRACKER".start_by_ts
                            END,
                            snoozes = CASE
                                WHEN change.type IN ('replayed', 'restored') THEN 0
                                WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                ELSE "STEP_TRACKER".snoozes
                            END,
                            checkpoint = CASE
                                WHEN change.type = 'checkpointed' THEN change.checkpoint
                                WHEN change.type = 'replaced' THEN NULL
                                ELSE "STEP_TRACKER".checkpoint
                            END,
                            last_update_ts = CURRENT_TIMESTAMP(),
                            version = "STEP_TRACKER".version + 1,
                            change_id = :change_id || ' settled',
                            change_type = change.type,
                            change_token = NULL,
                            changed_for = change.pod_id
                        FROM (
                            SELECT
                                step_id, version, pod_id,
                                CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                NULL AS priority, NULL AS payload, NULL AS available_ts,
                                NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                NULL AS result,
                                CASE
                                    WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                    WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                END AS error,
                                NULL AS traceback, NULL AS task_type, NULL AS labels,
                                NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                            FROM (
                                SELECT
                                    step_id, version,
                                    COALESCE(
                                        MAX(
                                            CASE
                                                WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                    THEN parent_changed_for
                                            END
                                        ),
                                        MAX(changed_for)
                                    ) AS pod_id,
                                    COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                    COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                    MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                    MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                        AS cancelled_parent
                                FROM (
                                    SELECT
                                        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                        parent.changed_for AS parent_changed_for,
                                        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                    FROM (
                                        SELECT
                                            child.step_id, child.version, child.status, child.error, child.changed_for,
                                            one.key AS parent_id, one.value::VARCHAR AS kind
                                        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                        WHERE child.parents IS NOT NULL
                                    ) AS edge
                                    LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                ) AS parent
                                WHERE status = 'waiting'
                                GROUP BY step_id, version
                            ) AS child
                            WHERE open_parents = 0 OR lost_parents > 0
                        ) AS change
                        WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                        more := SQLROWCOUNT;
                        IF (more > 0) THEN
                            FOR level IN 2 TO 20 DO
                                IF (more > 0) THEN
                                    UPDATE "STEP_TRACKER"
                                    SET
                                        status = CASE change.type
                                            WHEN 'claimed' THEN 'claimed'
                                            WHEN 'completed' THEN 'completed'
                                            WHEN 'retried' THEN 'pending'
                                            WHEN 'released' THEN 'pending'
                                            WHEN 'recovered' THEN 'pending'
                                            WHEN 'failed' THEN 'failed'
                                            WHEN 'cancelled' THEN 'cancelled'
                                            WHEN 'replayed' THEN 'pending'
                                            WHEN 'ready' THEN 'pending'
                                            WHEN 'parents_added' THEN 'waiting'
                                            WHEN 'restored' THEN 'waiting'
                                            WHEN 'snoozed' THEN 'pending'
                                            WHEN 'checkpointed' THEN 'claimed'
                                            WHEN 'replaced' THEN 'pending'
                                            WHEN 'reprioritized' THEN 'pending'
                                            WHEN 'rejected' THEN 'failed'
                                        END,
                                        priority = CASE
                                            WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                            ELSE "STEP_TRACKER".priority
                                        END,
                                        payload = CASE
                                            WHEN change.type = 'replaced' THEN change.payload
                                            ELSE "STEP_TRACKER".payload
                                        END,
                                        retry_count = CASE
                                            WHEN change.type IN ('replayed', 'restored') THEN 0
                                            WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                            ELSE "STEP_TRACKER".retry_count
                                        END,
                                        available_ts = CASE
                                            WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                            WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                            ELSE "STEP_TRACKER".available_ts
                                        END,
                                        claimed_by = CASE
                                            WHEN change.type = 'claimed' THEN change.claimed_by
                                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                            ELSE "STEP_TRACKER".claimed_by
                                        END,
                                        incarnation = CASE
                                            WHEN change.type = 'claimed' THEN change.incarnation
                                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                            ELSE "STEP_TRACKER".incarnation
                                        END,
                                        claim_token = CASE
                                            WHEN change.type = 'claimed' THEN change.claim_token
                                            WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                            ELSE "STEP_TRACKER".claim_token
                                        END,
                                        result = CASE
                                            WHEN change.type = 'completed' THEN change.result
                                            ELSE "STEP_TRACKER".result
                                        END,
                                        error = CASE
                                            WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                            WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                            WHEN change.type IN ('completed', 'restored') THEN NULL
                                            ELSE "STEP_TRACKER".error
                                        END,
                                        traceback = CASE
                                            WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                            WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                            ELSE "STEP_TRACKER".traceback
                                        END,
                                        task_type = CASE
                                            WHEN change.type = 'replaced' THEN change.task_type
                                            ELSE "STEP_TRACKER".task_type
                                        END,
                                        labels = CASE
                                            WHEN change.type = 'replaced' THEN change.labels
                                            ELSE "STEP_TRACKER".labels
                                        END,
                                        parents = CASE
                                            WHEN change.type = 'parents_added' THEN change.parents
                                            ELSE "STEP_TRACKER".parents
                                        END,
                                        start_by_ts = CASE
                                            WHEN change.type = 'replaced' THEN change.start_by_ts
                                            WHEN change.type IN ('replayed', 'restored') THEN NULL
                                            ELSE "STEP_TRACKER".start_by_ts
                                        END,
                                        snoozes = CASE
                                            WHEN change.type IN ('replayed', 'restored') THEN 0
                                            WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                            ELSE "STEP_TRACKER".snoozes
                                        END,
                                        checkpoint = CASE
                                            WHEN change.type = 'checkpointed' THEN change.checkpoint
                                            WHEN change.type = 'replaced' THEN NULL
                                            ELSE "STEP_TRACKER".checkpoint
                                        END,
                                        last_update_ts = CURRENT_TIMESTAMP(),
                                        version = "STEP_TRACKER".version + 1,
                                        change_id = :change_id || ' settled',
                                        change_type = change.type,
                                        change_token = NULL,
                                        changed_for = change.pod_id
                                    FROM (
                                        SELECT
                                            step_id, version, pod_id,
                                            CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                            NULL AS priority, NULL AS payload, NULL AS available_ts,
                                            NULL AS claimed_by, NULL AS incarnation,
                                            NULL AS claim_token, NULL AS result,
                                            CASE
                                                WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                                WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                            END AS error,
                                            NULL AS traceback, NULL AS task_type, NULL AS labels,
                                            NULL AS parents, NULL AS start_by_ts,
                                            NULL AS checkpoint
                                        FROM (
                                            SELECT
                                                step_id, version,
                                                COALESCE(
                                                    MAX(
                                                        CASE
                                                            WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                                THEN parent_changed_for
                                                        END
                                                    ),
                                                    MAX(changed_for)
                                                ) AS pod_id,
                                                COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                                COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                                MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                                MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                                    AS cancelled_parent
                                            FROM (
                                                SELECT
                                                    edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                                    edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                                    parent.changed_for AS parent_changed_for,
                                                    COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                                    COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                                FROM (
                                                    SELECT
                                                        child.step_id, child.version, child.status, child.error, child.changed_for,
                                                        one.key AS parent_id, one.value::VARCHAR AS kind
                                                    FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                                    WHERE child.parents IS NOT NULL
                                                ) AS edge
                                                LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                            ) AS parent
                                            WHERE status = 'waiting'
                                            GROUP BY step_id, version
                                        ) AS child
                                        WHERE open_parents = 0 OR lost_parents > 0
                                    ) AS change
                                    WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                                    more := SQLROWCOUNT;
                                END IF;
                            END FOR;
                            INSERT INTO "STEP_EVENTS" (
                                step_id, version, type, event_ts, pod_id, change_id,
                                payload, priority, max_retries, available_ts, queue, task_type, key,
                                unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                                spawned_by, start_by_ts, claim_token, incarnation, result, error,
                                traceback, checkpoint
                            )
                            SELECT
                                step_id, version, change_type, last_update_ts, changed_for, change_id,
                                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                                    THEN priority END,
                                CASE WHEN change_type = 'submitted' THEN max_retries END,
                                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                                    THEN available_ts END,
                                CASE WHEN change_type = 'submitted' THEN queue END,
                                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                                CASE WHEN change_type = 'submitted' THEN key END,
                                CASE WHEN change_type = 'submitted' THEN unique_key END,
                                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                                CASE WHEN change_type = 'submitted' THEN timeout END,
                                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                                change_token,
                                CASE WHEN change_type = 'claimed' THEN incarnation END,
                                CASE WHEN change_type = 'completed' THEN result END,
                                CASE
                                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                        OR (change_type = 'cancelled'
                                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                        THEN error
                                END,
                                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                            FROM "STEP_TRACKER"
                            WHERE change_id = :change_id || ' settled';
                        END IF;
                    END IF;
                END IF;
            END IF;
        END IF;
        IF (
            transitions IS NOT NULL
            AND sent = 0
            AND (changed > 0 OR claimed > 0 OR is_retry OR NOT only_if_claimable)
        ) THEN
            UPDATE "POD_HEALTH"
            SET
                status = change.becomes,
                last_heartbeat_ts = CASE
                    WHEN change.is_sign_of_life THEN CURRENT_TIMESTAMP()
                    ELSE "POD_HEALTH".last_heartbeat_ts
                END,
                version = "POD_HEALTH".version + CASE WHEN change.type = '' THEN 0 ELSE 1 END,
                change_id = :change_id,
                change_type = change.type
            FROM (
                SELECT
                    value[0]::VARCHAR AS was, value[1]::VARCHAR AS becomes, value[2]::VARCHAR AS type,
                    value[3]::BOOLEAN AS is_sign_of_life
                FROM TABLE(FLATTEN(input => PARSE_JSON(:transitions)))
            ) AS change
            WHERE "POD_HEALTH".status = change.was AND "POD_HEALTH".pod_id = :pod_id
                AND "POD_HEALTH".incarnation = :incarnation;
            INSERT INTO "POD_EVENTS" (
                pod_id, version, type, event_ts, by_pod_id, incarnation, description, change_id
            )
            SELECT
                pod_id, version, change_type,
                CASE WHEN change_type = 'joined' THEN birth_ts ELSE CURRENT_TIMESTAMP() END,
                CASE WHEN change_type = 'declared_dead' THEN :pod_id ELSE pod_id END, incarnation,
                CASE WHEN change_type = 'joined' THEN description END, change_id
            FROM "POD_HEALTH"
            WHERE change_id = :change_id AND change_type <> '';
        END IF;
        IF (claimed = 0 AND appended < changed) THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END IF;
    within_limits := TRUE;
    LET answer RESULTSET := (SELECT
        'now' AS kind, NULL AS changed_step_id, NULL AS changed_token,
        DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
        (
            SELECT DATE_PART(epoch_microsecond, MIN(available_ts))
            FROM "STEP_TRACKER"
            WHERE status = 'pending' AND available_ts > CURRENT_TIMESTAMP()
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
        ) AS next_due,
        EXISTS (SELECT 1 FROM "STEP_TRACKER" WHERE status = 'claimed') AS held,
        EXISTS (
            SELECT 1
            FROM "STEP_TRACKER"
            WHERE status = 'pending'
                AND (
                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                )
                AND NOT (
                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                    AND COALESCE(snoozes, 0) = 0
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
        ) AS due,
        EXISTS (SELECT 1 FROM (
            SELECT
                step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
                retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
            FROM "STEP_TRACKER"
            WHERE status = 'pending'
                AND (
                    available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                    OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                )
                AND NOT (
                    start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                    AND COALESCE(snoozes, 0) = 0
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                    OR queue IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                    )
                )
                AND (
                    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                    OR task_type IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                    )
                )
                AND queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
                    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                ))
            UNION ALL
            SELECT
                step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
            FROM (
                SELECT
                    step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
                    ROW_NUMBER() OVER (
                        PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
                    ) AS place_in_queue
                FROM (
                    SELECT
                        step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                        step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                        OCTET_LENGTH(step.payload) AS size, limited.room,
                        limited.max_running_per_key AS per_key,
                        COALESCE(of_key.claimed, 0) AS claimed_of_key,
                        ROW_NUMBER() OVER (
                            PARTITION BY step.queue, step.key
                            ORDER BY step.priority DESC, step.created_ts, step.step_id
                        ) AS place_of_key
                    FROM (
                        SELECT *
                        FROM "STEP_TRACKER"
                        WHERE status = 'pending'
                            AND (
                                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                            )
                            AND NOT (
                                start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
                                AND COALESCE(snoozes, 0) = 0
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                                OR queue IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                                )
                            )
                            AND (
                                GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                                OR task_type IN (
                                    SELECT value::VARCHAR
                                    FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                                )
                            )
                            AND :within_limits
                    ) AS step
                    JOIN (
                        SELECT
                            queue, max_running_per_key,
                            CASE
                                WHEN paused THEN 0
                                ELSE LEAST(
                                    COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                                    COALESCE(
                                        CASE
                                            WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                                                THEN SIGN(rate_period)
                                            ELSE FLOOR(LEAST(
                                                tokens + rate_count * LEAST(
                                                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                                                ),
                                                rate_count * rate_period
                                            ) / rate_period)
                                        END,
                                        1000000000
                                    )
                                )
                            END AS room
                        FROM "QUEUES"
                        LEFT JOIN (
                            SELECT queue AS running_in, COUNT(*) AS claimed
                            FROM (
                                SELECT held.queue, held.key
                                FROM "STEP_TRACKER" AS held
                                LEFT JOIN (
                                    SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                    FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                                ) AS ended
                                    ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                                WHERE held.status = 'claimed' AND ended.step_id IS NULL
                            ) AS held
                            GROUP BY queue
                        ) AS running ON running_in = queue
                        WHERE (
                            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
                        )
                    ) AS limited ON limited.queue = step.queue AND limited.room > 0
                    LEFT JOIN (
                        SELECT queue, key, COUNT(*) AS claimed
                        FROM (
                            SELECT held.queue, held.key
                            FROM "STEP_TRACKER" AS held
                            LEFT JOIN (
                                SELECT value:step_id::VARCHAR AS step_id, value:claim_token::VARCHAR AS claim_token
                                FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
                            ) AS ended
                                ON ended.step_id = held.step_id AND ended.claim_token = held.claim_token
                            WHERE held.status = 'claimed' AND ended.step_id IS NULL
                        ) AS held
                        GROUP BY queue, key
                    ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
                ) AS candidate
                WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
            ) AS candidate_of_queue
            WHERE place_in_queue <= room
        ) AS claimable_step) AS claimable,
        EXISTS (SELECT 1 FROM "QUEUES") AS has_limits,
        EXISTS (SELECT 1 FROM "STEP_INBOX") AS has_inbox_rows,
        (
            SELECT DATE_PART(epoch_microsecond, MIN(DATEADD(
                microsecond,
                CEIL((rate_period - LEAST(
                    tokens + rate_count * LEAST(
                        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                    ),
                    rate_count * rate_period
                )) / rate_count)::NUMBER(38, 0),
                GREATEST(refilled_ts, CURRENT_TIMESTAMP())
            )))
            FROM "QUEUES"
            WHERE rate_count IS NOT NULL AND NOT paused AND LEAST(
                tokens + rate_count * LEAST(
                    GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
                ),
                rate_count * rate_period
            ) < rate_period
                AND queue IN (
                    SELECT queue FROM "STEP_TRACKER"
                    WHERE status = 'pending'
                        AND (
                            available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                            OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
                            OR queue IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
                            )
                        )
                        AND (
                            GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
                            OR task_type IN (
                                SELECT value::VARCHAR
                                FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
                            )
                        )
                )
        ) AS next_token,
        EXISTS (SELECT 1 FROM "STEP_TRACKER" WHERE status = 'waiting') AS has_waiting,
        (SELECT MAX(schema_version) FROM "FLEET_Q") AS schema_version,
        :changed + :claimed AS changed,
        :served AS served,
        (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM "SCHEDULES") AS next_firing,
        pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
        DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM (SELECT 1 AS always) AS now
    LEFT JOIN (
        SELECT
            pod_id, status, birth_ts,
            GREATEST(
                last_heartbeat_ts, COALESCE(heartbeat_ts, last_heartbeat_ts)
            ) AS last_heartbeat_ts,
            incarnation, version, description
        FROM "POD_HEALTH"
        LEFT JOIN (
            SELECT pod_id AS sender_id, incarnation AS sent_by, MAX(heartbeat_ts) AS heartbeat_ts
            FROM "POD_HEARTBEATS"
            GROUP BY pod_id, incarnation
        ) AS latest ON sender_id = pod_id AND sent_by = incarnation
    ) AS pod ON pod.pod_id = :pod_id
    UNION ALL
    SELECT
        'held', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        step.step_id, step.status, step.priority,
        CASE WHEN step.claim_token = :claim_token THEN step.payload END, step.retry_count,
        step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM "STEP_TRACKER" AS step
    WHERE step.status = 'claimed' AND step.claimed_by = :pod_id
    UNION ALL
    SELECT
        'done', step_id, claim_token, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM "STEP_EVENTS"
    WHERE change_id = :change_id AND pod_id = :pod_id AND type <> 'claimed');
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/take_in
CREATE OR REPLACE PROCEDURE "FLEET_Q_TAKE_IN_11"(
    row_ids VARCHAR,
    row_count NUMBER(38, 0),
    submissions VARCHAR,
    is_checked BOOLEAN,
    replacing NUMBER(38, 0),
    rejections VARCHAR,
    pod_id VARCHAR,
    new_change_id VARCHAR,
    reject_change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    change_id VARCHAR DEFAULT '';
    accepted VARCHAR DEFAULT '[]';
    found NUMBER(38, 0) DEFAULT 0;
    deleted NUMBER(38, 0) DEFAULT 0;
    state NUMBER(38, 0) DEFAULT 0;
BEGIN
    change_id := new_change_id;
    IF (row_count > 0) THEN
        found := (SELECT COUNT(*)
        FROM "STEP_INBOX"
        WHERE row_id IN (
            SELECT value::NUMBER(38, 0)
            FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
        ));
    END IF;
    IF (row_count > 0 AND found = row_count) THEN
        BEGIN TRANSACTION;
        UPDATE "STEP_INBOX"
        SET payload = payload
        WHERE row_id IN (
            SELECT value::NUMBER(38, 0)
            FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
        );
        DELETE FROM "STEP_INBOX"
        WHERE row_id IN (
            SELECT value::NUMBER(38, 0)
            FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
        );
        deleted := SQLROWCOUNT;
        IF (deleted = row_count) THEN
            state := 1;
            IF (is_checked) THEN
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE step_id IN (
                    SELECT value:step_id::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                )
                    OR unique_key IN (
                        SELECT value:unique_key::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                    );
            END IF;
            accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
            FROM (
                SELECT submitted.submission_id
                FROM (
                    SELECT
                        submission_id, step_id, unique_key, replaces,
                        ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
                        CASE
                            WHEN unique_key IS NOT NULL
                                THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                            ELSE 1
                        END AS place_of_key
                    FROM (
                        SELECT
                            index AS number, value:submission_id::VARCHAR AS submission_id,
                            value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                            value:replaces::NUMBER(38, 0) AS replaces
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                    ) AS posted
                ) AS submitted
                LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = submitted.step_id
                LEFT JOIN "STEP_TRACKER" AS owner
                    ON owner.unique_key = submitted.unique_key AND (
                        owner.status NOT IN ('completed', 'failed', 'cancelled')
                        OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                    )
                GROUP BY submitted.submission_id
                HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
                    AND COUNT(
                        CASE
                            WHEN replaces IS NULL
                                THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                            WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                                THEN 1
                        END
                    ) = 0
            ) AS accepted);
        END IF;
        IF (state = 1 AND (accepted <> '[]' OR submissions = '[]')) THEN
            INSERT INTO "STEP_TRACKER" (
                step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
                change_type, changed_for,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
            )
            SELECT
                new.value:step_id::VARCHAR,
                CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
                0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
                new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
                new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
                new.value:max_retries::NUMBER(38, 0),
                CASE
                    WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                    ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                END,
                new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
                new.value:unique_key::VARCHAR,
                DATEADD(
                    microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
                ),
                new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0),
                new.value:parents::VARCHAR, new.value:workflow_id::VARCHAR,
                new.value:spawned_by::VARCHAR,
                DATEADD(
                    microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                )
            FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
            WHERE new.value:replaces IS NULL
                AND new.value:submission_id::VARCHAR IN (
                    SELECT value::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                );
            IF (replacing > 0) THEN
                UPDATE "STEP_TRACKER"
                SET
                    payload = change.payload, priority = change.priority,
                    available_ts = change.available_ts, task_type = change.task_type,
                    labels = change.labels, start_by_ts = change.start_by_ts,
                    checkpoint = NULL,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = change.submission_id,
                    change_type = 'replaced',
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id,
                        value:replaces::NUMBER(38, 0) AS replaces, value:pod_id::VARCHAR AS pod_id,
                        value:payload::VARCHAR AS payload,
                        value:priority::NUMBER(38, 0) AS priority,
                        CASE
                            WHEN value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                            ELSE DATEADD(microsecond, value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                        END AS available_ts,
                        value:task_type::VARCHAR AS task_type, value:labels::VARCHAR AS labels,
                        DATEADD(
                            microsecond, value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                        ) AS start_by_ts
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.replaces
                    AND change.submission_id IN (
                        SELECT value::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
                    );
            END IF;
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id;
            IF (rejections <> '[]') THEN
                change_id := reject_change_id;
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id,
                    change_type = change.type,
                    change_token = change.claim_token,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        step.step_id, step.version, :pod_id AS pod_id, 'rejected' AS type,
                        NULL AS priority, NULL AS payload, TO_TIMESTAMP_LTZ(0, 6) AS available_ts,
                        NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                        NULL AS result, rejection.error AS error, NULL AS traceback,
                        NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
                        NULL AS checkpoint
                    FROM "STEP_TRACKER" AS step
                    JOIN (
                        SELECT value:step_id::VARCHAR AS step_id, value:error::VARCHAR AS error
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:rejections)))
                    ) AS rejection ON step.step_id = rejection.step_id
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                INSERT INTO "STEP_EVENTS" (
                    step_id, version, type, event_ts, pod_id, change_id,
                    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                    claim_token, incarnation, result, error, traceback, checkpoint
                )
                SELECT
                    step_id, version, change_type, last_update_ts, changed_for, change_id,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                    CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                        THEN priority END,
                    CASE WHEN change_type = 'submitted' THEN max_retries END,
                    CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                        THEN available_ts END,
                    CASE WHEN change_type = 'submitted' THEN queue END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                    CASE WHEN change_type = 'submitted' THEN key END,
                    CASE WHEN change_type = 'submitted' THEN unique_key END,
                    CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                    CASE WHEN change_type = 'submitted' THEN timeout END,
                    CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                    CASE WHEN change_type = 'submitted' THEN workflow_id END,
                    CASE WHEN change_type = 'submitted' THEN spawned_by END,
                    CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                    change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                    CASE WHEN change_type = 'completed' THEN result END,
                    CASE
                        WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                            OR (change_type = 'cancelled'
                                AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                            THEN error
                    END,
                    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                    CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                FROM "STEP_TRACKER"
                WHERE change_id = :change_id;
            END IF;
            state := 2;
        END IF;
        LET taken RESULTSET := (SELECT
            own.state,
            step.step_id, step.status, step.priority, step.payload, step.retry_count,
            step.max_retries, DATE_PART(epoch_microsecond, step.created_ts),
            DATE_PART(epoch_microsecond, step.last_update_ts),
            DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
            step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
            step.task_type, step.key, step.unique_key,
            DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout,
            step.parents, step.workflow_id, step.spawned_by,
            DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint,
            step.progress
        FROM (SELECT :state AS state) AS own
        LEFT JOIN (
            SELECT
                step_id, status, priority, payload, retry_count, max_retries, created_ts,
                last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error,
                traceback, version, queue, task_type, key, unique_key, unique_until_ts, labels,
                timeout, parents, workflow_id, spawned_by, start_by_ts, snoozes, checkpoint,
                progress
            FROM "STEP_TRACKER" AS owner
            WHERE (
                step_id IN (
                    SELECT value:step_id::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                )
                OR (
                    unique_key IN (
                        SELECT value:unique_key::VARCHAR
                        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                    )
                    AND (
                        owner.status NOT IN ('completed', 'failed', 'cancelled')
                        OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                    )
                )
            )
        ) AS step ON own.state = 1);
        IF (state = 2) THEN
            COMMIT;
        ELSE
            ROLLBACK;
        END IF;
        RETURN TABLE(taken);
    END IF;
    LET answer RESULTSET := (SELECT
        own.state,
        step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
        DATE_PART(epoch_microsecond, step.created_ts),
        DATE_PART(epoch_microsecond, step.last_update_ts),
        DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
        step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
        step.task_type, step.key, step.unique_key,
        DATE_PART(epoch_microsecond, step.unique_until_ts), step.labels, step.timeout, step.parents,
        step.workflow_id, step.spawned_by, DATE_PART(epoch_microsecond, step.start_by_ts),
        step.snoozes, step.checkpoint, step.progress
    FROM (SELECT :state AS state) AS own
    LEFT JOIN (
        SELECT
            step_id, status, priority, payload, retry_count, max_retries, created_ts,
            last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error,
            traceback, version, queue, task_type, key, unique_key, unique_until_ts, labels, timeout,
            parents, workflow_id, spawned_by, start_by_ts, snoozes, checkpoint, progress
        FROM "STEP_TRACKER" AS owner
        WHERE (
            step_id IN (
                SELECT value:step_id::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            )
            OR (
                unique_key IN (
                    SELECT value:unique_key::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                )
                AND (
                    owner.status NOT IN ('completed', 'failed', 'cancelled')
                    OR owner.unique_until_ts > CURRENT_TIMESTAMP()
                )
            )
        )
    ) AS step ON own.state = 1);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/write_alert
CREATE OR REPLACE PROCEDURE "FLEET_Q_WRITE_ALERT_11"(
    alert VARCHAR,
    expected_version NUMBER(38, 0),
    alerts VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    written NUMBER(38, 0) DEFAULT 0;
    inserted NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "FLEET_Q" SET submissions = submissions + 1;
    UPDATE "ALERTS"
    SET tries = tries
    WHERE alert = :alert;
    found := SQLROWCOUNT;
    DELETE FROM "ALERTS"
    WHERE alert = :alert AND version = :expected_version;
    written := SQLROWCOUNT;
    IF (written > 0 OR (found = 0 AND expected_version = 0)) THEN
        INSERT INTO "ALERTS" (
            alert, status, since_ts, send_ts, tries, detail, version, last_update_ts
        )
        SELECT
            alert.value[0]::VARCHAR, alert.value[1]::VARCHAR,
            TO_TIMESTAMP_LTZ(alert.value[2]::NUMBER(38, 0), 6),
            TO_TIMESTAMP_LTZ(alert.value[3]::NUMBER(38, 0), 6), alert.value[4]::NUMBER(38, 0),
            alert.value[5]::VARCHAR, alert.value[6]::NUMBER(38, 0),
            TO_TIMESTAMP_LTZ(alert.value[7]::NUMBER(38, 0), 6)
        FROM TABLE(FLATTEN(input => PARSE_JSON(:alerts))) AS alert;
        inserted := SQLROWCOUNT;
        written := (SELECT :written + :inserted);
    END IF;
    IF (written > 0) THEN
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :written AS written);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;

-- snowflake/procedures/write_schedule
CREATE OR REPLACE PROCEDURE "FLEET_Q_WRITE_SCHEDULE_11"(
    schedule VARCHAR,
    expected_version NUMBER(38, 0),
    expected_firings NUMBER(38, 0),
    schedules VARCHAR,
    events VARCHAR,
    submissions VARCHAR,
    submission_count NUMBER(38, 0),
    has_parents BOOLEAN,
    earlier VARCHAR,
    change_id VARCHAR
)
COPY GRANTS
RETURNS TABLE ()
LANGUAGE SQL
COMMENT = '{comment}'
EXECUTE AS OWNER
AS
$$
DECLARE
    found NUMBER(38, 0) DEFAULT 0;
    written NUMBER(38, 0) DEFAULT 0;
    appended NUMBER(38, 0) DEFAULT 0;
    inserted NUMBER(38, 0) DEFAULT 0;
    accepted VARCHAR DEFAULT '[""]';
    more NUMBER(38, 0) DEFAULT 0;
BEGIN
    BEGIN TRANSACTION;
    UPDATE "FLEET_Q" SET submissions = submissions + 1;
    UPDATE "SCHEDULES"
    SET firings = firings
    WHERE schedule = :schedule;
    found := SQLROWCOUNT;
    DELETE FROM "SCHEDULES"
    WHERE schedule = :schedule AND version = :expected_version AND firings = :expected_firings;
    written := SQLROWCOUNT;
    IF (written > 0 OR (found = 0 AND expected_version = 0)) THEN
        INSERT INTO "SCHEDULES" (
            schedule, step, cron, every, tz, overlap, missed, window, status, next_ts, last_ts,
            last_step_id, skipped, firings, version, last_update_ts, change_id
        )
        SELECT
            schedule.value[0]::VARCHAR, schedule.value[1]::VARCHAR, schedule.value[2]::VARCHAR,
            schedule.value[3]::NUMBER(38, 0), schedule.value[4]::VARCHAR,
            schedule.value[5]::VARCHAR, schedule.value[6]::VARCHAR,
            schedule.value[7]::NUMBER(38, 0), schedule.value[8]::VARCHAR,
            TO_TIMESTAMP_LTZ(schedule.value[9]::NUMBER(38, 0), 6),
            TO_TIMESTAMP_LTZ(schedule.value[10]::NUMBER(38, 0), 6), schedule.value[11]::VARCHAR,
            schedule.value[12]::NUMBER(38, 0), schedule.value[13]::NUMBER(38, 0),
            schedule.value[14]::NUMBER(38, 0),
            TO_TIMESTAMP_LTZ(schedule.value[15]::NUMBER(38, 0), 6), :change_id
        FROM TABLE(FLATTEN(input => PARSE_JSON(:schedules))) AS schedule;
        inserted := SQLROWCOUNT;
        written := (SELECT :written + :inserted);
    END IF;
    IF (written > 0 AND has_parents) THEN
        UPDATE "STEP_TRACKER"
        SET version = version
        WHERE step_id IN (SELECT submitted.parent_id FROM (
            SELECT new.submission_id, one.key AS parent_id
            FROM (
                SELECT
                    value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
            WHERE new.parents IS NOT NULL
        ) AS submitted);
        accepted := (SELECT '["' || :change_id || '"]');
        accepted := (SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
        FROM (
            SELECT value::VARCHAR AS submission_id
            FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
        ) AS one
        WHERE submission_id NOT IN (
            SELECT submitted.submission_id
            FROM (
                SELECT new.submission_id, one.key AS parent_id
                FROM (
                    SELECT
                        value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
                WHERE new.parents IS NOT NULL
            ) AS submitted
            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = submitted.parent_id
            LEFT JOIN (
                SELECT value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            ) AS own
                ON own.submission_id = submitted.submission_id AND own.step_id = submitted.parent_id
            WHERE parent.step_id IS NULL AND own.step_id IS NULL
        ));
        IF (accepted = '[]') THEN
            written := -1;
        END IF;
    END IF;
    IF (written > 0) THEN
        INSERT INTO "SCHEDULE_EVENTS" (
            schedule, version, type, event_ts, changed_by, step, cron, every, tz, overlap, missed,
            window, status, change_id
        )
        SELECT
            schedule_event.value[0]::VARCHAR, schedule_event.value[1]::NUMBER(38, 0),
            schedule_event.value[2]::VARCHAR,
            TO_TIMESTAMP_LTZ(schedule_event.value[3]::NUMBER(38, 0), 6),
            schedule_event.value[4]::VARCHAR, schedule_event.value[5]::VARCHAR,
            schedule_event.value[6]::VARCHAR, schedule_event.value[7]::NUMBER(38, 0),
            schedule_event.value[8]::VARCHAR, schedule_event.value[9]::VARCHAR,
            schedule_event.value[10]::VARCHAR, schedule_event.value[11]::NUMBER(38, 0),
            schedule_event.value[12]::VARCHAR, :change_id
        FROM TABLE(FLATTEN(input => PARSE_JSON(:events))) AS schedule_event;
        IF (submission_count > 0) THEN
            UPDATE "STEP_TRACKER"
            SET version = version
            WHERE step_id IN (
                SELECT value:step_id::VARCHAR
                FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
            )
                OR unique_key IN (
                    SELECT value:unique_key::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                );
            INSERT INTO "STEP_TRACKER" (
                step_id, status, retry_count, snoozes, created_ts, last_update_ts, version, change_id,
                change_type, changed_for,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
            )
            SELECT
                new.value:step_id::VARCHAR,
                CASE WHEN new.value:parents::VARCHAR IS NULL THEN 'pending' ELSE 'waiting' END,
                0, 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
                new.value:submission_id::VARCHAR, 'submitted', new.value:pod_id::VARCHAR,
                new.value:payload::VARCHAR, new.value:priority::NUMBER(38, 0),
                new.value:max_retries::NUMBER(38, 0),
                CASE
                    WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
                    ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
                END,
                new.value:queue::VARCHAR, new.value:task_type::VARCHAR, new.value:key::VARCHAR,
                new.value:unique_key::VARCHAR,
                DATEADD(
                    microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
                ),
                new.value:labels::VARCHAR, new.value:timeout::NUMBER(38, 0),
                new.value:parents::VARCHAR, new.value:workflow_id::VARCHAR,
                new.value:spawned_by::VARCHAR,
                DATEADD(
                    microsecond, new.value:start_by::NUMBER(38, 0), CURRENT_TIMESTAMP()
                )
            FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
            WHERE new.value:step_id::VARCHAR NOT IN (SELECT step_id FROM "STEP_TRACKER");
            INSERT INTO "STEP_EVENTS" (
                step_id, version, type, event_ts, pod_id, change_id,
                payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
                unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts,
                claim_token, incarnation, result, error, traceback, checkpoint
            )
            SELECT
                step_id, version, change_type, last_update_ts, changed_for, change_id,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                    THEN priority END,
                CASE WHEN change_type = 'submitted' THEN max_retries END,
                CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                    THEN available_ts END,
                CASE WHEN change_type = 'submitted' THEN queue END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                CASE WHEN change_type = 'submitted' THEN key END,
                CASE WHEN change_type = 'submitted' THEN unique_key END,
                CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                CASE WHEN change_type = 'submitted' THEN timeout END,
                CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                CASE WHEN change_type = 'submitted' THEN workflow_id END,
                CASE WHEN change_type = 'submitted' THEN spawned_by END,
                CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                CASE WHEN change_type = 'completed' THEN result END,
                CASE
                    WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                        OR (change_type = 'cancelled'
                            AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                        THEN error
                END,
                CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                CASE WHEN change_type = 'checkpointed' THEN checkpoint END
            FROM "STEP_TRACKER"
            WHERE change_id = :change_id;
            appended := SQLROWCOUNT;
            IF (has_parents) THEN
                UPDATE "STEP_TRACKER"
                SET version = version
                WHERE status = 'waiting'
                    AND step_id IN (
                        SELECT parent.step_id
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE parent.parent_change_id = :change_id
                    );
                UPDATE "STEP_TRACKER"
                SET
                    status = CASE change.type
                        WHEN 'claimed' THEN 'claimed'
                        WHEN 'completed' THEN 'completed'
                        WHEN 'retried' THEN 'pending'
                        WHEN 'released' THEN 'pending'
                        WHEN 'recovered' THEN 'pending'
                        WHEN 'failed' THEN 'failed'
                        WHEN 'cancelled' THEN 'cancelled'
                        WHEN 'replayed' THEN 'pending'
                        WHEN 'ready' THEN 'pending'
                        WHEN 'parents_added' THEN 'waiting'
                        WHEN 'restored' THEN 'waiting'
                        WHEN 'snoozed' THEN 'pending'
                        WHEN 'checkpointed' THEN 'claimed'
                        WHEN 'replaced' THEN 'pending'
                        WHEN 'reprioritized' THEN 'pending'
                        WHEN 'rejected' THEN 'failed'
                    END,
                    priority = CASE
                        WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                        ELSE "STEP_TRACKER".priority
                    END,
                    payload = CASE
                        WHEN change.type = 'replaced' THEN change.payload
                        ELSE "STEP_TRACKER".payload
                    END,
                    retry_count = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                        ELSE "STEP_TRACKER".retry_count
                    END,
                    available_ts = CASE
                        WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                        WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                        ELSE "STEP_TRACKER".available_ts
                    END,
                    claimed_by = CASE
                        WHEN change.type = 'claimed' THEN change.claimed_by
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claimed_by
                    END,
                    incarnation = CASE
                        WHEN change.type = 'claimed' THEN change.incarnation
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".incarnation
                    END,
                    claim_token = CASE
                        WHEN change.type = 'claimed' THEN change.claim_token
                        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                        ELSE "STEP_TRACKER".claim_token
                    END,
                    result = CASE
                        WHEN change.type = 'completed' THEN change.result
                        ELSE "STEP_TRACKER".result
                    END,
                    error = CASE
                        WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                        WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                        WHEN change.type IN ('completed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".error
                    END,
                    traceback = CASE
                        WHEN change.type IN ('retried', 'failed') THEN change.traceback
                        WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".traceback
                    END,
                    task_type = CASE
                        WHEN change.type = 'replaced' THEN change.task_type
                        ELSE "STEP_TRACKER".task_type
                    END,
                    labels = CASE
                        WHEN change.type = 'replaced' THEN change.labels
                        ELSE "STEP_TRACKER".labels
                    END,
                    parents = CASE
                        WHEN change.type = 'parents_added' THEN change.parents
                        ELSE "STEP_TRACKER".parents
                    END,
                    start_by_ts = CASE
                        WHEN change.type = 'replaced' THEN change.start_by_ts
                        WHEN change.type IN ('replayed', 'restored') THEN NULL
                        ELSE "STEP_TRACKER".start_by_ts
                    END,
                    snoozes = CASE
                        WHEN change.type IN ('replayed', 'restored') THEN 0
                        WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                        ELSE "STEP_TRACKER".snoozes
                    END,
                    checkpoint = CASE
                        WHEN change.type = 'checkpointed' THEN change.checkpoint
                        WHEN change.type = 'replaced' THEN NULL
                        ELSE "STEP_TRACKER".checkpoint
                    END,
                    last_update_ts = CURRENT_TIMESTAMP(),
                    version = "STEP_TRACKER".version + 1,
                    change_id = :change_id || ' settled',
                    change_type = change.type,
                    change_token = NULL,
                    changed_for = change.pod_id
                FROM (
                    SELECT
                        step_id, version, pod_id,
                        CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                        NULL AS priority, NULL AS payload, NULL AS available_ts, NULL AS claimed_by,
                        NULL AS incarnation, NULL AS claim_token, NULL AS result,
                        CASE
                            WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                            WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                        END AS error,
                        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents,
                        NULL AS start_by_ts, NULL AS checkpoint
                    FROM (
                        SELECT
                            step_id, version,
                            COALESCE(
                                MAX(
                                    CASE
                                        WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                            THEN parent_changed_for
                                    END
                                ),
                                MAX(changed_for)
                            ) AS pod_id,
                            COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                            COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                            MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                            MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                AS cancelled_parent
                        FROM (
                            SELECT
                                edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                parent.changed_for AS parent_changed_for,
                                COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                            FROM (
                                SELECT
                                    child.step_id, child.version, child.status, child.error, child.changed_for,
                                    one.key AS parent_id, one.value::VARCHAR AS kind
                                FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                WHERE child.parents IS NOT NULL
                            ) AS edge
                            LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                        ) AS parent
                        WHERE status = 'waiting'
                        GROUP BY step_id, version
                    ) AS child
                    WHERE open_parents = 0 OR lost_parents > 0
                ) AS change
                WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                more := SQLROWCOUNT;
                IF (more > 0) THEN
                    FOR level IN 2 TO 20 DO
                        IF (more > 0) THEN
                            UPDATE "STEP_TRACKER"
                            SET
                                status = CASE change.type
                                    WHEN 'claimed' THEN 'claimed'
                                    WHEN 'completed' THEN 'completed'
                                    WHEN 'retried' THEN 'pending'
                                    WHEN 'released' THEN 'pending'
                                    WHEN 'recovered' THEN 'pending'
                                    WHEN 'failed' THEN 'failed'
                                    WHEN 'cancelled' THEN 'cancelled'
                                    WHEN 'replayed' THEN 'pending'
                                    WHEN 'ready' THEN 'pending'
                                    WHEN 'parents_added' THEN 'waiting'
                                    WHEN 'restored' THEN 'waiting'
                                    WHEN 'snoozed' THEN 'pending'
                                    WHEN 'checkpointed' THEN 'claimed'
                                    WHEN 'replaced' THEN 'pending'
                                    WHEN 'reprioritized' THEN 'pending'
                                    WHEN 'rejected' THEN 'failed'
                                END,
                                priority = CASE
                                    WHEN change.type IN ('replaced', 'reprioritized') THEN change.priority
                                    ELSE "STEP_TRACKER".priority
                                END,
                                payload = CASE
                                    WHEN change.type = 'replaced' THEN change.payload
                                    ELSE "STEP_TRACKER".payload
                                END,
                                retry_count = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type IN ('retried', 'recovered') THEN "STEP_TRACKER".retry_count + 1
                                    ELSE "STEP_TRACKER".retry_count
                                END,
                                available_ts = CASE
                                    WHEN change.type IN ('retried', 'replayed', 'snoozed', 'replaced') THEN change.available_ts
                                    WHEN change.type IN ('released', 'recovered') THEN COALESCE(change.available_ts, "STEP_TRACKER".available_ts)
                                    ELSE "STEP_TRACKER".available_ts
                                END,
                                claimed_by = CASE
                                    WHEN change.type = 'claimed' THEN change.claimed_by
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claimed_by
                                END,
                                incarnation = CASE
                                    WHEN change.type = 'claimed' THEN change.incarnation
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".incarnation
                                END,
                                claim_token = CASE
                                    WHEN change.type = 'claimed' THEN change.claim_token
                                    WHEN change.type IN ('retried', 'released', 'recovered', 'replayed', 'restored', 'snoozed') THEN NULL
                                    ELSE "STEP_TRACKER".claim_token
                                END,
                                result = CASE
                                    WHEN change.type = 'completed' THEN change.result
                                    ELSE "STEP_TRACKER".result
                                END,
                                error = CASE
                                    WHEN change.type IN ('retried', 'recovered', 'failed', 'rejected') THEN change.error
                                    WHEN change.type = 'cancelled' THEN COALESCE(change.error, "STEP_TRACKER".error)
                                    WHEN change.type IN ('completed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".error
                                END,
                                traceback = CASE
                                    WHEN change.type IN ('retried', 'failed') THEN change.traceback
                                    WHEN change.type IN ('completed', 'recovered', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".traceback
                                END,
                                task_type = CASE
                                    WHEN change.type = 'replaced' THEN change.task_type
                                    ELSE "STEP_TRACKER".task_type
                                END,
                                labels = CASE
                                    WHEN change.type = 'replaced' THEN change.labels
                                    ELSE "STEP_TRACKER".labels
                                END,
                                parents = CASE
                                    WHEN change.type = 'parents_added' THEN change.parents
                                    ELSE "STEP_TRACKER".parents
                                END,
                                start_by_ts = CASE
                                    WHEN change.type = 'replaced' THEN change.start_by_ts
                                    WHEN change.type IN ('replayed', 'restored') THEN NULL
                                    ELSE "STEP_TRACKER".start_by_ts
                                END,
                                snoozes = CASE
                                    WHEN change.type IN ('replayed', 'restored') THEN 0
                                    WHEN change.type = 'snoozed' THEN "STEP_TRACKER".snoozes + 1
                                    ELSE "STEP_TRACKER".snoozes
                                END,
                                checkpoint = CASE
                                    WHEN change.type = 'checkpointed' THEN change.checkpoint
                                    WHEN change.type = 'replaced' THEN NULL
                                    ELSE "STEP_TRACKER".checkpoint
                                END,
                                last_update_ts = CURRENT_TIMESTAMP(),
                                version = "STEP_TRACKER".version + 1,
                                change_id = :change_id || ' settled',
                                change_type = change.type,
                                change_token = NULL,
                                changed_for = change.pod_id
                            FROM (
                                SELECT
                                    step_id, version, pod_id,
                                    CASE WHEN lost_parents > 0 THEN 'cancelled' ELSE 'ready' END AS type,
                                    NULL AS priority, NULL AS payload, NULL AS available_ts,
                                    NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
                                    NULL AS result,
                                    CASE
                                        WHEN failed_parent IS NOT NULL THEN 'parent ' || failed_parent || ' failed'
                                        WHEN lost_parents > 0 THEN 'parent ' || cancelled_parent || ' was cancelled'
                                    END AS error,
                                    NULL AS traceback, NULL AS task_type, NULL AS labels,
                                    NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
                                FROM (
                                    SELECT
                                        step_id, version,
                                        COALESCE(
                                            MAX(
                                                CASE
                                                    WHEN parent_change_id IN (:change_id, :change_id || ' settled')
                                                        THEN parent_changed_for
                                                END
                                            ),
                                            MAX(changed_for)
                                        ) AS pod_id,
                                        COUNT(CASE WHEN is_open THEN 1 END) AS open_parents,
                                        COUNT(CASE WHEN is_lost THEN 1 END) AS lost_parents,
                                        MIN(CASE WHEN is_lost AND parent_status = 'failed' THEN parent_id END) AS failed_parent,
                                        MIN(CASE WHEN is_lost AND parent_status = 'cancelled' THEN parent_id END)
                                            AS cancelled_parent
                                    FROM (
                                        SELECT
                                            edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
                                            edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
                                            parent.changed_for AS parent_changed_for,
                                            COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
                                            COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
                                        FROM (
                                            SELECT
                                                child.step_id, child.version, child.status, child.error, child.changed_for,
                                                one.key AS parent_id, one.value::VARCHAR AS kind
                                            FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
                                            WHERE child.parents IS NOT NULL
                                        ) AS edge
                                        LEFT JOIN "STEP_TRACKER" AS parent ON parent.step_id = edge.parent_id
                                    ) AS parent
                                    WHERE status = 'waiting'
                                    GROUP BY step_id, version
                                ) AS child
                                WHERE open_parents = 0 OR lost_parents > 0
                            ) AS change
                            WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;
                            more := SQLROWCOUNT;
                        END IF;
                    END FOR;
                    INSERT INTO "STEP_EVENTS" (
                        step_id, version, type, event_ts, pod_id, change_id,
                        payload, priority, max_retries, available_ts, queue, task_type, key,
                        unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
                        spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
                        checkpoint
                    )
                    SELECT
                        step_id, version, change_type, last_update_ts, changed_for, change_id,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN payload END,
                        CASE WHEN change_type IN ('submitted', 'replaced', 'reprioritized')
                            THEN priority END,
                        CASE WHEN change_type = 'submitted' THEN max_retries END,
                        CASE WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed', 'snoozed', 'replaced')
                            THEN available_ts END,
                        CASE WHEN change_type = 'submitted' THEN queue END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN task_type END,
                        CASE WHEN change_type = 'submitted' THEN key END,
                        CASE WHEN change_type = 'submitted' THEN unique_key END,
                        CASE WHEN change_type = 'submitted' THEN unique_until_ts END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN labels END,
                        CASE WHEN change_type = 'submitted' THEN timeout END,
                        CASE WHEN change_type IN ('submitted', 'parents_added') THEN parents END,
                        CASE WHEN change_type = 'submitted' THEN workflow_id END,
                        CASE WHEN change_type = 'submitted' THEN spawned_by END,
                        CASE WHEN change_type IN ('submitted', 'replaced') THEN start_by_ts END,
                        change_token, CASE WHEN change_type = 'claimed' THEN incarnation END,
                        CASE WHEN change_type = 'completed' THEN result END,
                        CASE
                            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                                OR (change_type = 'cancelled'
                                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                                THEN error
                        END,
                        CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
                        CASE WHEN change_type = 'checkpointed' THEN checkpoint END
                    FROM "STEP_TRACKER"
                    WHERE change_id = :change_id || ' settled';
                END IF;
            END IF;
        END IF;
        IF (appended = 0) THEN
            INSERT INTO "STEP_EVENTS" (step_id, version, type, event_ts, pod_id, change_id)
            SELECT '', 1, 'queue', CURRENT_TIMESTAMP(), NULL, :change_id;
        END IF;
        COMMIT;
    ELSE
        IF (written = 0 AND found > 0) THEN
            written := (SELECT COUNT(*)
            FROM "SCHEDULES"
            WHERE schedule = :schedule
                AND change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))));
        END IF;
        ROLLBACK;
    END IF;
    LET answer RESULTSET := (SELECT :written AS written);
    RETURN TABLE(answer);
EXCEPTION
    WHEN OTHER THEN
        ROLLBACK;
        RAISE;
END
$$;
