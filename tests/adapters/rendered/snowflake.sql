-- Written by python -m tests.adapters.rendered; do not change it by hand.

-- snowflake/accepted_ids
-- The ids of the submissions that are accepted, as a JSON list.
SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
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
) AS accepted;

-- snowflake/accepted_with_parents
-- Those of the accepted submissions whose parents all exist, or are in the same submission.
SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
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
);

-- snowflake/add_children
-- Let the steps that wait for one which this change completed wait for its children, too, unless they
-- are children themselves.
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
        NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error, NULL AS traceback,
        NULL AS task_type, NULL AS labels, all_parents AS parents, NULL AS start_by_ts,
        NULL AS checkpoint
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

-- snowflake/after_sync
-- The state after a sync, read after its commit: one row of kind 'now', with the numbers of changed
-- steps and of served requests, whether any queue has, or had, limits, whether the inbox has rows,
-- whether any step waits, when the next schedule is to be looked at, and the pod if it exists; a row of
-- kind 'held' for each step that the pod holds (with the payload only if this sync claimed it); and a
-- row of kind 'done', with id and claim token, for each outcome that was recorded.
SELECT
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
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
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
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
WHERE step.status = 'claimed' AND step.claimed_by = :pod_id
UNION ALL
SELECT
    'done', step_id, claim_token, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM "STEP_EVENTS"
WHERE change_id = :change_id AND pod_id = :pod_id AND type <> 'claimed';

-- snowflake/alerts
-- All alerts; one row without an alert if there is none.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    alert.alert, alert.status, DATE_PART(epoch_microsecond, alert.since_ts),
    DATE_PART(epoch_microsecond, alert.send_ts), alert.tries, alert.detail, alert.version,
    DATE_PART(epoch_microsecond, alert.last_update_ts)
FROM (SELECT 1 AS always) AS now
LEFT JOIN "ALERTS" AS alert ON TRUE
ORDER BY alert.alert;

-- snowflake/all_steps
SELECT step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
ORDER BY step.step_id;

-- snowflake/allowlist
-- The hosts that clients of this account have to reach, as JSON.
SELECT SYSTEM$ALLOWLIST();

-- snowflake/append_change_events
-- Append the events of a change, unless steps have parents, so that more may follow from it.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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

-- snowflake/append_ended_events
-- Append the events of steps that ended, which may_be_settled.sql has left out.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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
WHERE change_id = :change_id AND status IN ('completed', 'failed', 'cancelled')
    AND step_id NOT IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id);

-- snowflake/append_pod_events
-- Append the events of one change. Others than the pod itself only declare it dead.
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

-- snowflake/append_queue_events
-- Append the events of one change, derived from the rows that it changed.
INSERT INTO "QUEUE_EVENTS" (
    queue, version, type, event_ts, changed_by, max_running, max_running_per_key, rate_count,
    rate_period, paused, change_id
)
SELECT
    queue, version, change_type, last_update_ts, changed_by, max_running, max_running_per_key,
    rate_count, rate_period, paused, change_id
FROM "QUEUES"
WHERE change_id = :change_id;

-- snowflake/append_recovered_events
-- Append the events of a recovery.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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

-- snowflake/append_schedule_events
INSERT INTO "SCHEDULE_EVENTS" (
    schedule, version, type, event_ts, changed_by, step, cron, every, tz, overlap, missed, window,
    status, change_id
)
SELECT
    schedule_event.value[0]::VARCHAR, schedule_event.value[1]::NUMBER(38, 0),
    schedule_event.value[2]::VARCHAR, TO_TIMESTAMP_LTZ(schedule_event.value[3]::NUMBER(38, 0), 6),
    schedule_event.value[4]::VARCHAR, schedule_event.value[5]::VARCHAR,
    schedule_event.value[6]::VARCHAR, schedule_event.value[7]::NUMBER(38, 0),
    schedule_event.value[8]::VARCHAR, schedule_event.value[9]::VARCHAR,
    schedule_event.value[10]::VARCHAR, schedule_event.value[11]::NUMBER(38, 0),
    schedule_event.value[12]::VARCHAR, :change_id
FROM TABLE(FLATTEN(input => PARSE_JSON(:events))) AS schedule_event;

-- snowflake/append_served_events
-- Append the events of a change that served requests, and those of the submissions among them.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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

-- snowflake/append_settled_events
-- Append the events of steps that followed from what the change did to others.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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
WHERE change_id = :change_id || ' settled';

-- snowflake/append_spawned_events
-- Append the events of steps that wait for children from now on.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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
WHERE change_id = :change_id || ' spawned';

-- snowflake/append_step_events
-- Append the events of one change.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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

-- snowflake/append_sync_events
-- Append the events of a sync.
INSERT INTO "STEP_EVENTS" (
    step_id, version, type, event_ts, pod_id, change_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts, claim_token,
    incarnation, result, error, traceback, checkpoint
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
        :within_limits OR change_type <> 'claimed'
        OR queue NOT IN (SELECT queue FROM "QUEUES" WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        ))
    )
    AND (
        status NOT IN ('completed', 'failed', 'cancelled')
        OR NOT EXISTS (SELECT 1 FROM "STEP_TRACKER" AS other WHERE other.status = 'waiting')
    );

-- snowflake/backlog
-- The steps that are not final by queue, and by key if the queue has a limit per key: how many are
-- claimed, pending and due, since when the due one waits that has waited longest, and when the next one
-- becomes due; and the limits of the queue, if it has a row. In every row, how many rows the inbox has.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), (SELECT COUNT(*) FROM "STEP_INBOX"),
    step.claimed, step.queue, step.key, step.pending, step.due,
    DATE_PART(epoch_microsecond, step.oldest), DATE_PART(epoch_microsecond, step.next_due),
    queue.queue, queue.max_running, queue.max_running_per_key, queue.rate_count, queue.rate_period,
    queue.paused, queue.tokens, DATE_PART(epoch_microsecond, queue.refilled_ts), queue.version,
    DATE_PART(epoch_microsecond, queue.last_update_ts)
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT
        queue, key, COUNT(CASE WHEN status = 'claimed' THEN 1 END) AS claimed,
        COUNT(CASE WHEN status = 'pending' THEN 1 END) AS pending,
        COUNT(CASE WHEN is_due THEN 1 END) AS due,
        MIN(CASE WHEN is_due THEN GREATEST(created_ts, available_ts) END) AS oldest,
        MIN(CASE WHEN status = 'pending' AND NOT is_due THEN available_ts END) AS next_due
    FROM (
        SELECT
            queue, status, created_ts, available_ts,
            CASE
                WHEN queue IN (SELECT queue FROM "QUEUES" WHERE max_running_per_key IS NOT NULL)
                    THEN key
            END AS key,
            status = 'pending' AND (
                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
            ) AS is_due
        FROM "STEP_TRACKER"
        WHERE status IN ('pending', 'claimed')
    ) AS row_of_step
    GROUP BY queue, key
) AS step ON TRUE
LEFT JOIN "QUEUES" AS queue ON queue.queue = step.queue;

-- snowflake/briefs_of_attempts
-- All events of the steps that changed last in a span of time, of those that changed first after it, and
-- of steps that are claimed; those of a step together and in order. In every row, how many events the
-- span has.
SELECT
    (
        SELECT COUNT(*)
        FROM "STEP_EVENTS"
        WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6) AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
            AND step_id <> ''
    ) AS events_of_span,
    event.step_id, step.queue, step.task_type, event.type,
    DATE_PART(epoch_microsecond, event.event_ts) AS event_ts,
    DATE_PART(epoch_microsecond, event.available_ts) AS available_ts,
    event.type = 'submitted' AND event.parents IS NOT NULL AS waits,
    event.pod_id, event.incarnation, SUBSTR(event.error, 1, 500) AS error
FROM "STEP_EVENTS" AS event
JOIN "STEP_TRACKER" AS step ON step.step_id = event.step_id
WHERE event.step_id IN (
        SELECT step_id
        FROM (
            SELECT step_id
            FROM "STEP_EVENTS"
            WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6)
                AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
                AND step_id <> ''
            QUALIFY ROW_NUMBER() OVER (ORDER BY event_ts DESC) <= :most
        ) AS of_span
        UNION ALL
        SELECT step_id
        FROM (
            SELECT step_id
            FROM "STEP_EVENTS"
            WHERE event_ts >= TO_TIMESTAMP_LTZ(:until, 6)
                AND event_ts < TO_TIMESTAMP_LTZ(:look_until, 6)
                AND step_id <> ''
            QUALIFY ROW_NUMBER() OVER (ORDER BY event_ts) <= :most
        ) AS after_span
        UNION ALL
        SELECT step_id FROM "STEP_TRACKER" WHERE status = 'claimed'
    )
ORDER BY event.step_id, event.version;

-- snowflake/briefs_of_changed
-- All events of the steps that changed in a span of time, those of a step together and in order.
SELECT
    event.step_id, step.queue, step.task_type, event.type,
    DATE_PART(epoch_microsecond, event.event_ts) AS event_ts,
    DATE_PART(epoch_microsecond, event.available_ts) AS available_ts,
    event.type = 'submitted' AND event.parents IS NOT NULL AS waits,
    event.pod_id, event.incarnation, SUBSTR(event.error, 1, 500) AS error
FROM "STEP_EVENTS" AS event
JOIN "STEP_TRACKER" AS step ON step.step_id = event.step_id
WHERE event.step_id IN (
        SELECT step_id
        FROM "STEP_EVENTS"
        WHERE event_ts >= TO_TIMESTAMP_LTZ(:since, 6) AND event_ts < TO_TIMESTAMP_LTZ(:until, 6)
    )
ORDER BY event.step_id, event.version;

-- snowflake/change
-- Cancel, replay or reprioritize those of the steps whose status allows it. Steps with parents are
-- replayed by replay_level.sql.
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
        NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error,
        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
        NULL AS checkpoint
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

-- snowflake/change_counter
-- The number of events that were ever written: COUNT(*), plus the number of pruned events, which is
-- how far MIN(version) is below 1 (see note_pruned.sql); and the rows of the inbox. Snowflake answers
-- this text without a warehouse, from the result that it keeps, until one of the tables changes.
SELECT
    (SELECT COUNT(*) FROM "STEP_EVENTS"),
    (SELECT MIN(version) FROM "STEP_EVENTS"),
    (SELECT COUNT(*) FROM "STEP_INBOX"),
    (SELECT MAX(row_id) FROM "STEP_INBOX");

-- snowflake/changed_earlier
-- The steps that the earlier attempts of a change have changed.
SELECT step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
WHERE step.step_id IN (
    SELECT step_id
    FROM "STEP_EVENTS"
    WHERE change_id IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
    )
);

-- snowflake/changed_pods
-- The pods that were last changed by this change.
SELECT pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
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
ORDER BY pod.pod_id;

-- snowflake/changed_queues
SELECT queue.queue, queue.max_running, queue.max_running_per_key, queue.rate_count,
    queue.rate_period, queue.paused, queue.tokens, DATE_PART(epoch_microsecond, queue.refilled_ts),
    queue.version, DATE_PART(epoch_microsecond, queue.last_update_ts)
FROM "QUEUES" AS queue
WHERE queue.change_id = :change_id;

-- snowflake/changed_steps
-- The steps that were last changed by this change.
SELECT step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
WHERE step.step_id IN (SELECT step_id FROM "STEP_EVENTS" WHERE change_id = :change_id);

-- snowflake/clock
SELECT DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP());

-- snowflake/committed_changes
-- Those of these changes, of calls that write events, that were committed.
SELECT change_id
FROM "STEP_EVENTS"
WHERE change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:change_ids))))
UNION
SELECT change_id
FROM "POD_EVENTS"
WHERE change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:change_ids))));

-- snowflake/complete_spawners
-- Complete steps whose children are stored with it, by the claims under which they are held.
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
            value:permanent::BOOLEAN AS permanent, value:retry_delay::NUMBER(38, 0) AS retry_delay
        FROM TABLE(FLATTEN(input => PARSE_JSON(:outcomes)))
    ) AS outcome
    JOIN "STEP_TRACKER" AS held
        ON held.step_id = outcome.step_id AND held.claim_token = outcome.claim_token
            AND held.status = 'claimed'
) AS change
WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;

-- snowflake/count_circles
-- How many of the steps that children need wait for the step which this change completed.
SELECT COUNT(*)
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
    AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed))));

-- snowflake/count_due
-- 1 if a step may be claimed, else 0.
SELECT COUNT(*)
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
) AS due;

-- snowflake/count_expired
-- How many steps have expired.
SELECT COUNT(*)
FROM "STEP_TRACKER"
WHERE status IN ('pending', 'waiting')
    AND (
        start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
        AND COALESCE(snoozes, 0) = 0
    );

-- snowflake/count_heartbeats
SELECT COUNT(*) FROM "POD_HEARTBEATS";

-- snowflake/count_inbox_rows
-- How many of these rows are in the inbox.
SELECT COUNT(*)
FROM "STEP_INBOX"
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
);

-- snowflake/count_old_requests
SELECT COUNT(*) FROM "SYNC_REQUESTS"
WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP());

-- snowflake/count_progress
SELECT COUNT(*) FROM "STEP_PROGRESS";

-- snowflake/count_queue_events
SELECT COUNT(*)
FROM "QUEUE_EVENTS"
WHERE queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:names))));

-- snowflake/count_saved
-- How many steps have the checkpoint that was to be saved.
SELECT :changed AS saved;

-- snowflake/count_unsettled
-- How many steps wait though their parents have ended, or stay cancelled though these are back.
SELECT (
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
    ) AS fallen WHERE named_parents > 0);

-- snowflake/counts
SELECT status, COUNT(*)
FROM "STEP_TRACKER"
GROUP BY status;

-- snowflake/dead_letters
SELECT step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
WHERE step.status = 'failed'
    AND (
        :before_ts IS NULL
        OR DATE_PART(epoch_microsecond, step.last_update_ts) < :before_ts
        OR (
            DATE_PART(epoch_microsecond, step.last_update_ts) = :before_ts
            AND step.step_id < :before_id
        )
    )
QUALIFY ROW_NUMBER() OVER (ORDER BY step.last_update_ts DESC, step.step_id DESC) <= :limit
ORDER BY step.last_update_ts DESC, step.step_id DESC;

-- snowflake/declare_dead
-- Declare silent pods dead, unless they have changed since they were observed: their version or
-- last heartbeat differs then.
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

-- snowflake/declared_dead
-- The pods that are down because they were declared dead.
SELECT pod.pod_id
FROM "POD_HEALTH" AS pod
JOIN "POD_EVENTS" AS event ON event.pod_id = pod.pod_id AND event.version = pod.version
WHERE pod.status = 'down' AND event.type = 'declared_dead';

-- snowflake/delete_alert
-- Delete the row of an alert, if it is as the caller has read it, to insert another.
DELETE FROM "ALERTS"
WHERE alert = :alert AND version = :expected_version;

-- snowflake/delete_folded_heartbeats
-- Delete heartbeats that are not later than the last one in the pod's row, or of an incarnation
-- that has ended.
DELETE FROM "POD_HEARTBEATS"
USING (SELECT pod_id, incarnation, last_heartbeat_ts FROM "POD_HEALTH") AS pod
WHERE "POD_HEARTBEATS".pod_id = pod.pod_id
    AND (
        "POD_HEARTBEATS".incarnation <> pod.incarnation
        OR "POD_HEARTBEATS".heartbeat_ts <= pod.last_heartbeat_ts
    );

-- snowflake/delete_folded_progress
DELETE FROM "STEP_PROGRESS"
WHERE change_id = :change_id;

-- snowflake/delete_inbox_rows
DELETE FROM "STEP_INBOX"
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
);

-- snowflake/delete_old_requests
-- Delete requests that were answered or given up long ago.
DELETE FROM "SYNC_REQUESTS"
WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP());

-- snowflake/delete_pods
DELETE FROM "POD_HEALTH"
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))));

-- snowflake/delete_queues
DELETE FROM "QUEUES"
WHERE queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:names))));

-- snowflake/delete_schedule
-- Delete the row of a schedule, if it is as the caller has read it, to insert another.
DELETE FROM "SCHEDULES"
WHERE schedule = :schedule AND version = :expected_version AND firings = :expected_firings;

-- snowflake/delete_steps
DELETE FROM "STEP_TRACKER"
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))));

-- snowflake/described_pods
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM "SCHEDULES"),
    pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
    DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version,
    pod.description
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
) AS pod ON TRUE
ORDER BY pod.pod_id;

-- snowflake/events_of_steps
SELECT step_id, version, type, DATE_PART(epoch_microsecond, event_ts), pod_id, payload, priority,
    max_retries, DATE_PART(epoch_microsecond, available_ts), queue, task_type, key, unique_key,
    DATE_PART(epoch_microsecond, unique_until_ts), labels, timeout, parents, workflow_id,
    spawned_by, DATE_PART(epoch_microsecond, start_by_ts), claim_token, incarnation, result, error,
    traceback, checkpoint
FROM "STEP_EVENTS"
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
ORDER BY step_id, version;

-- snowflake/events_of_steps_until
-- The events of steps until a moment, with what a list shows of them.
SELECT
    step_id, version, type, DATE_PART(epoch_microsecond, event_ts), pod_id,
    CASE WHEN payload IS NOT NULL THEN 'null' END, priority, max_retries,
    DATE_PART(epoch_microsecond, available_ts), queue, task_type, key, unique_key,
    DATE_PART(epoch_microsecond, unique_until_ts), labels, timeout, parents, workflow_id,
    spawned_by, DATE_PART(epoch_microsecond, start_by_ts), claim_token, incarnation,
    CASE WHEN result IS NOT NULL THEN 'null' END, SUBSTR(error, 1, 500), NULL,
    CASE WHEN checkpoint IS NOT NULL THEN 'null' END
FROM "STEP_EVENTS"
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
    AND event_ts <= TO_TIMESTAMP_LTZ(:moment, 6)
ORDER BY step_id, version;

-- snowflake/expire
-- Cancel steps that have expired.
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
        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
        NULL AS checkpoint
    FROM "STEP_TRACKER"
    WHERE status IN ('pending', 'waiting')
        AND (
            start_by_ts IS NOT NULL AND start_by_ts < CURRENT_TIMESTAMP() AND retry_count = 0
            AND COALESCE(snoozes, 0) = 0
        )
    QUALIFY ROW_NUMBER() OVER (ORDER BY start_by_ts, step_id) <= :most
) AS change
WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;

-- snowflake/final_steps
SELECT step_id, version
FROM "STEP_TRACKER"
WHERE last_update_ts <= TO_TIMESTAMP_LTZ(:before, 6) AND step_id > :after
    AND status IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses))))
    AND step_id NOT IN (
        SELECT one.key
        FROM "STEP_TRACKER" AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
        WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
    )
QUALIFY ROW_NUMBER() OVER (ORDER BY step_id) <= :limit
ORDER BY step_id;

-- snowflake/fold_heartbeats
-- Move the last heartbeats of the pods' incarnations to their rows.
UPDATE "POD_HEALTH"
SET last_heartbeat_ts = latest.heartbeat_ts
FROM (
    SELECT pod_id, incarnation, MAX(heartbeat_ts) AS heartbeat_ts
    FROM "POD_HEARTBEATS"
    GROUP BY pod_id, incarnation
) AS latest
WHERE "POD_HEALTH".pod_id = latest.pod_id AND "POD_HEALTH".incarnation = latest.incarnation
    AND "POD_HEALTH".last_heartbeat_ts < latest.heartbeat_ts;

-- snowflake/fold_progress
-- Move the last progress of each claim to its step, unless the step has another claim or none. It is no
-- change of the step: neither its version nor its log changes.
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

-- snowflake/history
SELECT step_id, version, type, DATE_PART(epoch_microsecond, event_ts), pod_id, payload, priority,
    max_retries, DATE_PART(epoch_microsecond, available_ts), queue, task_type, key, unique_key,
    DATE_PART(epoch_microsecond, unique_until_ts), labels, timeout, parents, workflow_id,
    spawned_by, DATE_PART(epoch_microsecond, start_by_ts), claim_token, incarnation, result, error,
    traceback, checkpoint
FROM "STEP_EVENTS"
WHERE step_id = :step_id
ORDER BY version;

-- snowflake/inbox
-- The first rows of the inbox, with the time: up to :limit, with up to :most_bytes of texts, but at
-- least one. Rows with one row_id, which somebody has set, are taken in together.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    row_id, payload, task_type, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay,
    DATE_PART(epoch_microsecond, available_ts), step_id, max_retries, timeout
FROM "STEP_INBOX"
QUALIFY RANK() OVER (ORDER BY row_id) = 1
    OR (
        RANK() OVER (ORDER BY row_id) <= :limit
        AND SUM(
            COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(labels), 0) + COALESCE(LENGTH(key), 0)
            + COALESCE(LENGTH(unique_key), 0) + COALESCE(LENGTH(step_id), 0)
        ) OVER (ORDER BY row_id) <= :most_bytes
    )
ORDER BY row_id;

-- snowflake/inbox_row
-- The first row of the inbox that submits a step with this id, with the time.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    row_id, payload, task_type, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay,
    DATE_PART(epoch_microsecond, available_ts), step_id, max_retries, timeout
FROM "STEP_INBOX"
WHERE step_id = :step_id
ORDER BY row_id
LIMIT 1;

-- snowflake/insert_alert
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

-- snowflake/insert_inbox_rows
-- Insert rows into the inbox. :rows has one object for each.
INSERT INTO "STEP_INBOX" (
    payload, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay, step_id,
    max_retries, timeout
)
SELECT
    value:payload::VARCHAR, value:queue::VARCHAR, value:priority::NUMBER(38, 0),
    value:key::VARCHAR, value:unique_key::VARCHAR, value:unique_for::FLOAT,
    value:on_conflict::VARCHAR, value:labels::VARCHAR, value:delay::FLOAT, value:step_id::VARCHAR,
    value:max_retries::NUMBER(38, 0), value:timeout::FLOAT
FROM TABLE(FLATTEN(input => PARSE_JSON(:rows)))
ORDER BY index;

-- snowflake/insert_pods
-- Insert pods as folded from the log.
INSERT INTO "POD_HEALTH" (
    pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, description
)
SELECT
    pod.value[0]::VARCHAR, pod.value[1]::VARCHAR, TO_TIMESTAMP_LTZ(pod.value[2]::NUMBER(38, 0), 6),
    TO_TIMESTAMP_LTZ(pod.value[3]::NUMBER(38, 0), 6), pod.value[4]::VARCHAR,
    pod.value[5]::NUMBER(38, 0), pod.value[6]::VARCHAR
FROM TABLE(FLATTEN(input => PARSE_JSON(:pods))) AS pod;

-- snowflake/insert_queue
-- Set the limits of a queue that has no row yet.
INSERT INTO "QUEUES" (
    queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens, refilled_ts,
    version, last_update_ts, change_id, change_type, changed_by
)
SELECT
    :queue, :max_running, :max_running_per_key, :rate_count, :rate_period, :paused, :tokens,
    CASE WHEN :rate_count IS NULL THEN TO_TIMESTAMP_LTZ(0, 6) ELSE CURRENT_TIMESTAMP() END,
    :new_version, CURRENT_TIMESTAMP(), :change_id, :event_type, :changed_by
WHERE NOT EXISTS (SELECT 1 FROM "QUEUES" WHERE queue = :queue);

-- snowflake/insert_queues
INSERT INTO "QUEUES" (
    queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens, refilled_ts,
    version, last_update_ts, change_id, change_type
)
SELECT
    queue.value[0]::VARCHAR, queue.value[1]::NUMBER(38, 0), queue.value[2]::NUMBER(38, 0),
    queue.value[3]::NUMBER(38, 0), queue.value[4]::NUMBER(38, 0), queue.value[5]::BOOLEAN,
    queue.value[6]::NUMBER(38, 0), TO_TIMESTAMP_LTZ(queue.value[7]::NUMBER(38, 0), 6),
    queue.value[8]::NUMBER(38, 0), TO_TIMESTAMP_LTZ(queue.value[9]::NUMBER(38, 0), 6), :change_id, 'rebuilt'
FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))) AS queue;

-- snowflake/insert_schedule
INSERT INTO "SCHEDULES" (
    schedule, step, cron, every, tz, overlap, missed, window, status, next_ts, last_ts,
    last_step_id, skipped, firings, version, last_update_ts, change_id
)
SELECT
    schedule.value[0]::VARCHAR, schedule.value[1]::VARCHAR, schedule.value[2]::VARCHAR,
    schedule.value[3]::NUMBER(38, 0), schedule.value[4]::VARCHAR, schedule.value[5]::VARCHAR,
    schedule.value[6]::VARCHAR, schedule.value[7]::NUMBER(38, 0), schedule.value[8]::VARCHAR,
    TO_TIMESTAMP_LTZ(schedule.value[9]::NUMBER(38, 0), 6),
    TO_TIMESTAMP_LTZ(schedule.value[10]::NUMBER(38, 0), 6), schedule.value[11]::VARCHAR,
    schedule.value[12]::NUMBER(38, 0), schedule.value[13]::NUMBER(38, 0),
    schedule.value[14]::NUMBER(38, 0), TO_TIMESTAMP_LTZ(schedule.value[15]::NUMBER(38, 0), 6), :change_id
FROM TABLE(FLATTEN(input => PARSE_JSON(:schedules))) AS schedule;

-- snowflake/insert_steps
-- Insert steps as folded from the log.
INSERT INTO "STEP_TRACKER" (
    step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
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

-- snowflake/is_void
-- 1 if the request is void, 0 if it is not.
SELECT COUNT(*)
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
WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number AND is_void;

-- snowflake/join_again
-- Start new incarnations of existing pod ids, which ends the earlier ones.
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

-- snowflake/join_first
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

-- snowflake/list_steps
-- Steps that a filter selects, the latest first.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.version, step.queue,
    step.task_type, step.key, step.unique_key, step.labels, step.timeout, step.workflow_id,
    step.progress, DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT step_id, status, priority, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, version, queue, task_type, key, unique_key, labels, timeout,
        workflow_id, progress, start_by_ts, snoozes, SUBSTR(error, 1, 500) AS error
    FROM "STEP_TRACKER"
    WHERE (
        :queues IS NULL
        OR queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))))
    )
    AND (
        :keys IS NULL
        OR key IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:keys))))
    )
    AND (:workflow_id IS NULL OR workflow_id = :workflow_id)
    AND (:in_workflow IS NULL OR workflow_id IS NOT NULL)
    AND STARTSWITH(step_id, :id_prefix)
    AND (:submitted_from IS NULL OR created_ts >= TO_TIMESTAMP_LTZ(:submitted_from, 6))
    AND (:submitted_before IS NULL OR created_ts < TO_TIMESTAMP_LTZ(:submitted_before, 6))
        AND (
            :statuses IS NULL
            OR status IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses))))
        )
        AND (
            :task_types IS NULL
            OR task_type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:task_types))))
        )
        AND (:labels IS NULL OR ',' || SUBSTR(labels, 2) LIKE :labels ESCAPE '^')
        AND (:pod_id IS NULL OR claimed_by = :pod_id)
        AND (
            :before_ts IS NULL
            OR created_ts < TO_TIMESTAMP_LTZ(:before_ts, 6)
            OR (created_ts = TO_TIMESTAMP_LTZ(:before_ts, 6) AND step_id < :before_id)
        )
    QUALIFY ROW_NUMBER() OVER (ORDER BY created_ts DESC, step_id DESC) <= :limit
) AS step ON TRUE
ORDER BY step.created_ts DESC, step.step_id DESC;

-- snowflake/list_steps_at
-- Steps that a filter may have selected at a moment, the latest first: those that it selects and that have
-- not changed since then, and those of which only the events tell.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.version, step.queue,
    step.task_type, step.key, step.unique_key, step.labels, step.timeout, step.workflow_id,
    step.progress, DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT step_id, status, priority, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, version, queue, task_type, key, unique_key, labels, timeout,
        workflow_id, progress, start_by_ts, snoozes, SUBSTR(error, 1, 500) AS error
    FROM "STEP_TRACKER"
    WHERE (
        :queues IS NULL
        OR queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))))
    )
    AND (
        :keys IS NULL
        OR key IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:keys))))
    )
    AND (:workflow_id IS NULL OR workflow_id = :workflow_id)
    AND (:in_workflow IS NULL OR workflow_id IS NOT NULL)
    AND STARTSWITH(step_id, :id_prefix)
    AND (:submitted_from IS NULL OR created_ts >= TO_TIMESTAMP_LTZ(:submitted_from, 6))
    AND (:submitted_before IS NULL OR created_ts < TO_TIMESTAMP_LTZ(:submitted_before, 6))
        AND created_ts <= TO_TIMESTAMP_LTZ(:moment, 6)
        AND (
            last_update_ts > TO_TIMESTAMP_LTZ(:moment, 6)
            OR (
                (
                    :statuses IS NULL
                    OR status IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses))))
                )
                AND (
                    :task_types IS NULL
                    OR task_type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:task_types))))
                )
                AND (:labels IS NULL OR ',' || SUBSTR(labels, 2) LIKE :labels ESCAPE '^')
                AND (:pod_id IS NULL OR claimed_by = :pod_id)
            )
        )
        AND (
            :before_ts IS NULL
            OR created_ts < TO_TIMESTAMP_LTZ(:before_ts, 6)
            OR (created_ts = TO_TIMESTAMP_LTZ(:before_ts, 6) AND step_id < :before_id)
        )
    QUALIFY ROW_NUMBER() OVER (ORDER BY created_ts DESC, step_id DESC) <= :limit
) AS step ON TRUE
ORDER BY step.created_ts DESC, step.step_id DESC;

-- snowflake/lock_alert
-- Lock the row of an alert. A query may not see yet what another session has committed; an UPDATE
-- changes what is there, and a transaction sees what it has changed.
UPDATE "ALERTS"
SET tries = tries
WHERE alert = :alert;

-- snowflake/lock_children
-- Lock the waiting steps of which this change ended a parent: of two transactions that end parents of
-- one step, the second sees what the first did.
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

-- snowflake/lock_earlier_events
-- Lock the events of the earlier attempts of a change, and count them. A query might not see them
-- yet.
UPDATE "STEP_EVENTS"
SET version = version
WHERE change_id IN (
    SELECT value::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier)))
);

-- snowflake/lock_events
-- Lock the events of these steps, and count them. A query might not see the last ones yet.
UPDATE "STEP_EVENTS"
SET version = version
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))));

-- snowflake/lock_held
-- Lock the steps that a pod holds, so that the transaction sees them as they are: see
-- lock_submitted.sql.
UPDATE "STEP_TRACKER"
SET version = version
WHERE status = 'claimed' AND claimed_by = :pod_id;

-- snowflake/lock_inbox_rows
-- Lock these rows, so that the DELETE after this counts those that no other sync has taken in.
UPDATE "STEP_INBOX"
SET payload = payload
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
);

-- snowflake/lock_limits
-- Lock the limits of queues, so that one claim at a time counts what is claimed. A transaction sees
-- what it has changed, whatever its queries see of the commits of other sessions. If the clock was set
-- back, a bucket of tokens refills from now on, but for the time that this statement may have waited.
UPDATE "QUEUES"
SET refilled_ts = LEAST(refilled_ts, DATEADD(second, 300, CURRENT_TIMESTAMP()));

-- snowflake/lock_parents
-- Lock the parents of the steps of submissions: see lock_submitted.sql.
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

-- snowflake/lock_pod
-- Lock a pod's row, so that the transaction sees it as it is.
UPDATE "POD_HEALTH" SET version = version WHERE pod_id = :pod_id;

-- snowflake/lock_pod_events
-- Lock the events of these pods, and count them. A query might not see the last ones yet.
UPDATE "POD_EVENTS"
SET version = version
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))));

-- snowflake/lock_queues
-- Serialize changes of queues and schedules by locking this row: a table without an enforced key would
-- store one twice if two processes changed it at once.
UPDATE "FLEET_Q" SET submissions = submissions + 1;

-- snowflake/lock_running
-- Lock the claimed steps of queues with limits, so that the transaction sees them all: see
-- lock_limits.sql.
UPDATE "STEP_TRACKER"
SET version = version
WHERE status = 'claimed' AND queue IN (SELECT queue FROM "QUEUES" WHERE (
    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
));

-- snowflake/lock_saved
-- Lock a step whose last event saved this checkpoint: see lock_submitted.sql.
UPDATE "STEP_TRACKER"
SET version = version
WHERE step_id = :step_id AND status = 'claimed' AND claim_token = :claim_token
    AND version = :step_version + 1 AND checkpoint = :checkpoint;

-- snowflake/lock_schedule
-- Lock the row of a schedule. A query may not see yet what another session has committed; an UPDATE
-- changes what is there, and a transaction sees what it has changed.
UPDATE "SCHEDULES"
SET firings = firings
WHERE schedule = :schedule;

-- snowflake/lock_steps
-- Lock the steps that have these ids, so that the transaction sees them as they are: see
-- lock_submitted.sql.
UPDATE "STEP_TRACKER"
SET version = version
WHERE step_id IN (
    SELECT value::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
);

-- snowflake/lock_submitted
-- Lock the steps that have the ids or unique keys of submissions. A query may not see yet what another session has
-- committed; an UPDATE changes what is there, and a transaction sees what it has changed.
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

-- snowflake/lock_waiting
-- Let a change of limits wait for the claims that are under way.
UPDATE "STEP_TRACKER"
SET version = version
WHERE status = 'pending' AND queue = :queue;

-- snowflake/log
-- A page of the log, the oldest first.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    DATE_PART(epoch_microsecond, entry.event_ts), entry.stream, entry.name, entry.version,
    entry.type, entry.by_whom, entry.queue, entry.task_type, entry.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT event_ts, stream, name, version, type, by_whom, queue, task_type, error
    FROM (
        SELECT
            event.event_ts, 'step' AS stream, event.step_id AS name, event.version, event.type,
            event.pod_id AS by_whom, step.queue, NULLIF(step.task_type, '') AS task_type,
            SUBSTR(event.error, 1, 500) AS error
        FROM "STEP_EVENTS" AS event
        LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = event.step_id
        WHERE event.step_id <> ''
        UNION ALL
        SELECT event_ts, 'pod', pod_id, version, type, by_pod_id, NULL, NULL, NULL
        FROM "POD_EVENTS"
        UNION ALL
        SELECT event_ts, 'queue', queue, version, type, changed_by, queue, NULL, NULL
        FROM "QUEUE_EVENTS"
        UNION ALL
        SELECT event_ts, 'schedule', schedule, version, type, changed_by, NULL, NULL, NULL
        FROM "SCHEDULE_EVENTS"
    ) AS event_of_log
    WHERE (:since IS NULL OR event_ts >= TO_TIMESTAMP_LTZ(:since, 6))
    AND (:until IS NULL OR event_ts < TO_TIMESTAMP_LTZ(:until, 6))
    AND (:by IS NULL OR by_whom = :by)
    AND (:step_id IS NULL OR name = :step_id)
    AND (:queue IS NULL OR queue = :queue)
    AND (
        :types IS NULL
        OR type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:types))))
    )
    AND stream IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:streams))))
        AND (
            :cursor_ts IS NULL
            OR event_ts > TO_TIMESTAMP_LTZ(:cursor_ts, 6)
            OR (
                event_ts = TO_TIMESTAMP_LTZ(:cursor_ts, 6)
                AND (
                    stream > :cursor_stream
                    OR (stream = :cursor_stream AND name > :cursor_name)
                    OR (
                        stream = :cursor_stream AND name = :cursor_name
                        AND version > :cursor_version
                    )
                )
            )
        )
    QUALIFY ROW_NUMBER() OVER (
        ORDER BY event_ts, stream, name, version
    ) <= :limit
) AS entry ON TRUE
ORDER BY entry.event_ts, entry.stream, entry.name, entry.version;

-- snowflake/log_newest
-- A page of the log, the latest first.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    DATE_PART(epoch_microsecond, entry.event_ts), entry.stream, entry.name, entry.version,
    entry.type, entry.by_whom, entry.queue, entry.task_type, entry.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT event_ts, stream, name, version, type, by_whom, queue, task_type, error
    FROM (
        SELECT
            event.event_ts, 'step' AS stream, event.step_id AS name, event.version, event.type,
            event.pod_id AS by_whom, step.queue, NULLIF(step.task_type, '') AS task_type,
            SUBSTR(event.error, 1, 500) AS error
        FROM "STEP_EVENTS" AS event
        LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = event.step_id
        WHERE event.step_id <> ''
        UNION ALL
        SELECT event_ts, 'pod', pod_id, version, type, by_pod_id, NULL, NULL, NULL
        FROM "POD_EVENTS"
        UNION ALL
        SELECT event_ts, 'queue', queue, version, type, changed_by, queue, NULL, NULL
        FROM "QUEUE_EVENTS"
        UNION ALL
        SELECT event_ts, 'schedule', schedule, version, type, changed_by, NULL, NULL, NULL
        FROM "SCHEDULE_EVENTS"
    ) AS event_of_log
    WHERE (:since IS NULL OR event_ts >= TO_TIMESTAMP_LTZ(:since, 6))
    AND (:until IS NULL OR event_ts < TO_TIMESTAMP_LTZ(:until, 6))
    AND (:by IS NULL OR by_whom = :by)
    AND (:step_id IS NULL OR name = :step_id)
    AND (:queue IS NULL OR queue = :queue)
    AND (
        :types IS NULL
        OR type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:types))))
    )
    AND stream IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:streams))))
        AND (
            :cursor_ts IS NULL
            OR event_ts < TO_TIMESTAMP_LTZ(:cursor_ts, 6)
            OR (
                event_ts = TO_TIMESTAMP_LTZ(:cursor_ts, 6)
                AND (
                    stream < :cursor_stream
                    OR (stream = :cursor_stream AND name < :cursor_name)
                    OR (
                        stream = :cursor_stream AND name = :cursor_name
                        AND version < :cursor_version
                    )
                )
            )
        )
    QUALIFY ROW_NUMBER() OVER (
        ORDER BY event_ts DESC, stream DESC, name DESC, version DESC
    ) <= :limit
) AS entry ON TRUE
ORDER BY entry.event_ts DESC, entry.stream DESC, entry.name DESC, entry.version DESC;

-- snowflake/mark_progress
-- Mark what this change moves. What is inserted meanwhile is left for the next one.
UPDATE "STEP_PROGRESS"
SET change_id = :change_id
WHERE change_id IS NULL;

-- snowflake/mark_requests
-- Mark the requests that this change serves: the oldest, up to 500, with up to 8 MiB of texts; of
-- those that claim, those with the routes of this pod. The lock of the table lets one change serve at
-- a time.
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

-- snowflake/moments
-- When events of some types happened to steps.
SELECT step_id, type, DATE_PART(epoch_microsecond, event_ts)
FROM "STEP_EVENTS"
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
    AND type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:types))))
ORDER BY step_id, version;

-- snowflake/needed_above
-- The steps for which those of the steps wait that do wait, as a JSON list.
SELECT '[' || COALESCE(LISTAGG(DISTINCT TO_JSON(TO_VARIANT(edge.parent_id)), ','), '') || ']'
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
    AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed))));

-- snowflake/note_pruned
-- Record the number of pruned events in the log, for change_counter.sql, as an event without a step
-- that readers of the log skip. Its version is below the least version by the number of pruned
-- events minus one, for this event itself.
INSERT INTO "STEP_EVENTS" (step_id, version, type, event_ts, pod_id, change_id)
SELECT '', COALESCE(MIN(version), 1) - :events + 1, 'pruned', CURRENT_TIMESTAMP(), :pod_id,
    :change_id
FROM "STEP_EVENTS";

-- snowflake/note_queue
-- Let the change counter change, so that pods that wait for the queue look again: an event without
-- a step, which readers of the log skip. It does not change the least version.
INSERT INTO "STEP_EVENTS" (step_id, version, type, event_ts, pod_id, change_id)
SELECT '', 1, 'queue', CURRENT_TIMESTAMP(), NULL, :change_id;

-- snowflake/orphans
SELECT step.step_id, step.claim_token, step.claimed_by, step.incarnation, step.retry_count,
    step.max_retries,
    OCTET_LENGTH(step.payload) + COALESCE(OCTET_LENGTH(step.error), 0)
        + COALESCE(OCTET_LENGTH(step.traceback), 0)
FROM "STEP_TRACKER" AS step
WHERE step.status = 'claimed' AND step.step_id > :after
    AND NOT EXISTS (
        SELECT 1
        FROM "POD_HEALTH" AS pod
        WHERE pod.pod_id = step.claimed_by AND pod.incarnation = step.incarnation
            AND pod.status <> 'down'
    )
QUALIFY ROW_NUMBER() OVER (ORDER BY step.step_id) <= :limit
ORDER BY step.step_id;

-- snowflake/pending_types
SELECT DISTINCT queue, task_type
FROM "STEP_TRACKER"
WHERE status = 'pending';

-- snowflake/pod_and_claims
-- A pod, and in rows of their own the claims that it holds.
SELECT
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
WHERE status = 'claimed' AND claimed_by = :pod_id;

-- snowflake/pod_command
-- Carry out a pod's command. :transitions has, for each status in which it is allowed, that status,
-- the status after it, the type of its event ('' for a heartbeat) and whether it is a sign of life.
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

-- snowflake/pod_commands
-- Carry out commands that waited in the mailbox. :requests has, for each status in which one is
-- allowed, that status, the status after it, the type of its event and whether it is a sign of life.
-- A command that needs a step is carried out if this change has claimed one under that token.
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

-- snowflake/pod_events
SELECT pod_id, version, type, DATE_PART(epoch_microsecond, event_ts), by_pod_id, incarnation,
    description
FROM "POD_EVENTS"
ORDER BY pod_id, version;

-- snowflake/pod_events_of
SELECT pod_id, version, type, DATE_PART(epoch_microsecond, event_ts), by_pod_id, incarnation,
    description
FROM "POD_EVENTS"
WHERE pod_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:pod_ids))))
ORDER BY pod_id, version;

-- snowflake/pod_history
SELECT pod_id, version, type, DATE_PART(epoch_microsecond, event_ts), by_pod_id, incarnation,
    description
FROM "POD_EVENTS"
WHERE pod_id = :pod_id
ORDER BY version;

-- snowflake/pods
-- All pods without their descriptions: every pod of a fleet reads this regularly, and Snowflake
-- returns results over about 100 KB from elsewhere.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    (SELECT DATE_PART(epoch_microsecond, MIN(next_ts)) FROM "SCHEDULES"),
    pod.pod_id, pod.status, DATE_PART(epoch_microsecond, pod.birth_ts),
    DATE_PART(epoch_microsecond, pod.last_heartbeat_ts), pod.incarnation, pod.version, NULL
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
) AS pod ON TRUE
ORDER BY pod.pod_id;

-- snowflake/post_request
INSERT INTO "SYNC_REQUESTS" (
    pod_id, incarnation, number, sent_ts, request, claim, outcomes, outcome_count, joins,
    submissions, routes
)
SELECT
    :pod_id, :incarnation, :number, CURRENT_TIMESTAMP(), :own_request, :own_claim, :own_outcomes,
    :own_outcome_count, :joins, :own_submissions, :routes;

-- snowflake/prune_heartbeats
DELETE FROM "POD_HEARTBEATS"
WHERE pod_id = :pod_id;

-- snowflake/prune_pod
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

-- snowflake/prune_pod_events
DELETE FROM "POD_EVENTS"
WHERE pod_id = :pod_id;

-- snowflake/prune_step_events
-- Delete the events of steps that do not exist any more.
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

-- snowflake/prune_steps
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

-- snowflake/queue_events
SELECT queue, version, type, DATE_PART(epoch_microsecond, event_ts), changed_by, max_running,
    max_running_per_key, rate_count, rate_period, paused
FROM "QUEUE_EVENTS"
ORDER BY queue, version;

-- snowflake/queue_history
SELECT queue, version, type, DATE_PART(epoch_microsecond, event_ts), changed_by, max_running,
    max_running_per_key, rate_count, rate_period, paused
FROM "QUEUE_EVENTS"
WHERE queue = :queue
ORDER BY version;

-- snowflake/queue_stats
-- The steps of each queue, task type and status, and whether the queue is paused: how many they are,
-- how many are not due, since when the due one waits that has waited longest, how many have been in
-- this status since the window began, and since when the first of these. In every row, how many rows the
-- inbox has.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), (SELECT COUNT(*) FROM "STEP_INBOX"),
    step.queue, step.task_type, step.status, step.number, step.delayed,
    DATE_PART(epoch_microsecond, step.oldest), step.recent,
    DATE_PART(epoch_microsecond, step.first_recent),
    COALESCE(queue.paused, FALSE)
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT
        queue, task_type, status, COUNT(*) AS number,
        COUNT(CASE WHEN status = 'pending' AND NOT is_due THEN 1 END) AS delayed,
        MIN(
            CASE WHEN status = 'pending' AND is_due THEN GREATEST(created_ts, available_ts) END
        ) AS oldest,
        COUNT(CASE WHEN is_recent THEN 1 END) AS recent,
        MIN(CASE WHEN is_recent THEN last_update_ts END) AS first_recent
    FROM (
        SELECT
            queue, task_type, status, created_ts, available_ts, last_update_ts,
            (
                available_ts <= GREATEST(CURRENT_TIMESTAMP(), last_update_ts)
                OR (retry_count > 0 AND last_update_ts > DATEADD(second, 300, CURRENT_TIMESTAMP()))
            ) AS is_due,
            last_update_ts >= DATEADD(microsecond, -:window, CURRENT_TIMESTAMP()) AS is_recent
        FROM "STEP_TRACKER"
    ) AS row_of_step
    GROUP BY queue, task_type, status
) AS step ON TRUE
LEFT JOIN "QUEUES" AS queue ON queue.queue = step.queue;

-- snowflake/queues
SELECT queue.queue, queue.max_running, queue.max_running_per_key, queue.rate_count,
    queue.rate_period, queue.paused, queue.tokens, DATE_PART(epoch_microsecond, queue.refilled_ts),
    queue.version, DATE_PART(epoch_microsecond, queue.last_update_ts)
FROM "QUEUES" AS queue
ORDER BY queue.queue;

-- snowflake/recover
-- Recover the claims that are still orphans. A step without tries left fails, or is released if it
-- certainly did not begin.
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
        NULL AS claimed_by, NULL AS incarnation, held.claim_token AS claim_token, NULL AS result,
        REPLACE(:error, '{}', held.claimed_by) AS error, NULL AS traceback, NULL AS task_type,
        NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
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

-- snowflake/reject
-- Make dead letters of the steps that hold invalid rows of the inbox.
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
        NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result,
        rejection.error AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
        NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
    FROM "STEP_TRACKER" AS step
    JOIN (
        SELECT value:step_id::VARCHAR AS step_id, value:error::VARCHAR AS error
        FROM TABLE(FLATTEN(input => PARSE_JSON(:rejections)))
    ) AS rejection ON step.step_id = rejection.step_id
) AS change
WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;

-- snowflake/replace_submitted
-- Replace the pending steps that accepted submissions name, as the event Replaced does.
UPDATE "STEP_TRACKER"
SET
    payload = change.payload, priority = change.priority, available_ts = change.available_ts,
    task_type = change.task_type, labels = change.labels, start_by_ts = change.start_by_ts,
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

-- snowflake/replay_level
-- Replay those failed or cancelled steps with parents that no parent keeps from it, neither one that
-- is not replayed nor, as long as :is_ordered, one that may be replayed by this change. Those that
-- have open parents wait again. See replays in core/dependencies.py.
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
        NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token, NULL AS result, NULL AS error,
        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
        NULL AS checkpoint
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

-- snowflake/request_position
-- How many older requests wait; 0 if the pod of this one is to serve all the same, because it has
-- waited for :patience microseconds for each of them; -1 if this one does not wait itself.
SELECT
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
    ON own.pod_id = :pod_id AND own.incarnation = :incarnation AND own.number = :number;

-- snowflake/restore
-- Make those fallen steps wait again that a replay of parents brings back.
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
        NULL AS payload, NULL AS available_ts, NULL AS claimed_by, NULL AS incarnation,
        NULL AS claim_token, NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type,
        NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
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

-- snowflake/restore_rest
-- Make those fallen steps wait again that an earlier replay had too many levels for.
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
    SELECT step_id, version, NULL AS pod_id, 'restored' AS type, NULL AS priority, NULL AS payload,
        NULL AS available_ts, NULL AS claimed_by, NULL AS incarnation, NULL AS claim_token,
        NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
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

-- snowflake/save_checkpoint
-- Save the checkpoint of a step that has this claim and version.
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
        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
        :checkpoint AS checkpoint
    FROM "STEP_TRACKER" AS step
    WHERE step.step_id = :step_id AND step.status = 'claimed' AND step.claim_token = :claim_token
        AND step.version = :step_version
) AS change
WHERE "STEP_TRACKER".step_id = change.step_id AND "STEP_TRACKER".version = change.version;

-- snowflake/schedule_events
SELECT schedule, version, type, DATE_PART(epoch_microsecond, event_ts), changed_by, step, cron,
    every, tz, overlap, missed, window, status
FROM "SCHEDULE_EVENTS"
ORDER BY schedule, version;

-- snowflake/schedule_history
SELECT schedule, version, type, DATE_PART(epoch_microsecond, event_ts), changed_by, step, cron,
    every, tz, overlap, missed, window, status
FROM "SCHEDULE_EVENTS"
WHERE schedule = :schedule
ORDER BY version;

-- snowflake/schedule_written_earlier
-- Whether the row of a schedule was written by an earlier call, whose answer was lost.
SELECT COUNT(*)
FROM "SCHEDULES"
WHERE schedule = :schedule
    AND change_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:earlier))));

-- snowflake/schedules
-- All schedules, with the statuses of their last steps; one row without a schedule if there is none.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()), step.status,
    schedule.schedule, schedule.step, schedule.cron, schedule.every, schedule.tz, schedule.overlap,
    schedule.missed, schedule.window, schedule.status,
    DATE_PART(epoch_microsecond, schedule.next_ts), DATE_PART(epoch_microsecond, schedule.last_ts),
    schedule.last_step_id, schedule.skipped, schedule.firings, schedule.version,
    DATE_PART(epoch_microsecond, schedule.last_update_ts)
FROM (SELECT 1 AS always) AS now
LEFT JOIN "SCHEDULES" AS schedule ON TRUE
LEFT JOIN "STEP_TRACKER" AS step ON step.step_id = schedule.last_step_id
ORDER BY schedule.schedule;

-- snowflake/schema_version
SELECT DISTINCT schema_version, table_kind FROM "FLEET_Q";

-- snowflake/send_heartbeat
-- Insert a heartbeat if the pod's incarnation has a status in which a heartbeat is no event. It is
-- later than the pod's last one, also after the clock was set back: the leader sees by the change
-- that the pod lives.
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

-- snowflake/send_progress
-- Insert what functions report, triples of step id, claim token and JSON text.
INSERT INTO "STEP_PROGRESS" (step_id, claim_token, progress, reported_ts)
SELECT value[0]::VARCHAR, value[1]::VARCHAR, value[2]::VARCHAR, CURRENT_TIMESTAMP()
FROM TABLE(FLATTEN(input => PARSE_JSON(:progress)));

-- snowflake/served_by
-- The change that has served a request; '' if none has. If two have marked it, the later one has
-- marked only rows that were posted later.
SELECT COALESCE(MAX(change_id), '')
FROM (
    SELECT change_id
    FROM "SYNC_REQUESTS"
    WHERE pod_id = :pod_id AND incarnation = :incarnation AND number = :number
        AND change_id IS NOT NULL
    ORDER BY sent_ts
    LIMIT 1
) AS earliest;

-- snowflake/set_schema_version
-- The first statement of a migration's transaction. If it changes no row, another process was
-- first.
UPDATE "FLEET_Q" SET schema_version = {version} WHERE schema_version < {version};

-- snowflake/settle
-- Make those waiting steps ready whose parents have ended as they require, and cancel those of which
-- one has ended otherwise, by the rule of settle in core/dependencies.py, which has the texts.
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
        NULL AS traceback, NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts,
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

-- snowflake/show_procedures
SHOW PROCEDURES IN SCHEMA;

-- snowflake/show_read_consistency
SHOW PARAMETERS LIKE 'READ_CONSISTENCY_MODE' IN ACCOUNT;

-- snowflake/show_result_cache
SHOW PARAMETERS LIKE 'USE_CACHED_RESULT' IN SESSION;

-- snowflake/show_slots
SHOW PARAMETERS LIKE 'MAX_CONCURRENCY_LEVEL' IN WAREHOUSE {warehouse};

-- snowflake/show_tables
SHOW TABLES;

-- snowflake/show_warehouses
SHOW WAREHOUSES;

-- snowflake/signed_in
-- The session's user and context. What was configured but does not exist or may not be used is
-- NULL.
SELECT CURRENT_USER(), CURRENT_ACCOUNT(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(),
    CURRENT_SCHEMA();

-- snowflake/spawned
-- What became of children: 0 if the claim of a step was not current, 2 if they were stored, 1 if
-- nothing was done because of the steps that follow, which have their ids or unique keys or are their
-- parents, 3 if they would wait for what waits for them.
SELECT
    own.state, DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()) AS at,
    step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM (SELECT :state AS state) AS own
LEFT JOIN (
    SELECT
        step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version,
        queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
        spawned_by, start_by_ts, snoozes, checkpoint, progress
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
) AS step ON own.state = 1;

-- snowflake/statuses
SELECT step_id, status
FROM "STEP_TRACKER"
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))));

-- snowflake/step_events
SELECT step_id, version, type, DATE_PART(epoch_microsecond, event_ts), pod_id, payload, priority,
    max_retries, DATE_PART(epoch_microsecond, available_ts), queue, task_type, key, unique_key,
    DATE_PART(epoch_microsecond, unique_until_ts), labels, timeout, parents, workflow_id,
    spawned_by, DATE_PART(epoch_microsecond, start_by_ts), claim_token, incarnation, result, error,
    traceback, checkpoint
FROM "STEP_EVENTS"
WHERE step_id <> ''
ORDER BY step_id, version;

-- snowflake/steps
SELECT step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM "STEP_TRACKER" AS step
JOIN (
    SELECT value::VARCHAR AS step_id
    FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
) AS wanted ON step.step_id = wanted.step_id;

-- snowflake/submission_result
-- How many steps a submission has stored or replaced; if none, the steps that have its ids or unique
-- keys.
SELECT
    own.stored,
    step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM (
    SELECT COUNT(*) AS stored
    FROM "STEP_EVENTS"
    WHERE change_id = :incarnation AND type IN ('submitted', 'replaced')
) AS own
LEFT JOIN (
    SELECT
        step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version,
        queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
        spawned_by, start_by_ts, snoozes, checkpoint, progress
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
) AS step ON own.stored = 0;

-- snowflake/submit
-- Insert the steps of the submissions that are accepted.
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

-- snowflake/submit_accepted
-- Insert the steps of the submissions that were found acceptable, except those that replace others.
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

-- snowflake/submit_scheduled
-- Insert the steps of a schedule, except those that exist: their times have fired.
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
WHERE new.value:step_id::VARCHAR NOT IN (SELECT step_id FROM "STEP_TRACKER");

-- snowflake/sync
-- Claim steps and record outcomes in one statement, which locks the table once. Each of the
-- requests, in their order, is given the next places of the queue, as many as it claims, and takes
-- steps from them by the rule of steps_to_claim in core/step.py, if its incarnation has a status
-- that allows it and holds nothing under its token. No row is changed twice in one change.
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
        NULL AS result, NULL AS error, NULL AS traceback, NULL AS task_type, NULL AS labels,
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
        NULL AS claimed_by, NULL AS incarnation, outcome.claim_token AS claim_token,
        outcome.result AS result, outcome.error AS error, outcome.traceback AS traceback,
        NULL AS task_type, NULL AS labels, NULL AS parents, NULL AS start_by_ts, NULL AS checkpoint
    FROM (
        SELECT
            value:pod_id::VARCHAR AS pod_id,
            value:type::VARCHAR AS type, value:step_id::VARCHAR AS step_id,
            value:claim_token::VARCHAR AS claim_token, value:result::VARCHAR AS result,
            value:error::VARCHAR AS error, value:traceback::VARCHAR AS traceback,
            value:permanent::BOOLEAN AS permanent, value:retry_delay::NUMBER(38, 0) AS retry_delay
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

-- snowflake/take_tokens
-- Take a token for each step that this change claimed from a queue with a rate.
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

-- snowflake/taken_in
-- What became of rows of the inbox: 0 if others have taken them in, 2 if they were taken in, 1 if
-- nothing was done because steps have ids or unique keys of their submissions, with these steps.
SELECT
    own.state,
    step.step_id, step.status, step.priority, step.payload, step.retry_count, step.max_retries,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts),
    DATE_PART(epoch_microsecond, step.available_ts), step.claimed_by, step.incarnation,
    step.claim_token, step.result, step.error, step.traceback, step.version, step.queue,
    step.task_type, step.key, step.unique_key, DATE_PART(epoch_microsecond, step.unique_until_ts),
    step.labels, step.timeout, step.parents, step.workflow_id, step.spawned_by,
    DATE_PART(epoch_microsecond, step.start_by_ts), step.snoozes, step.checkpoint, step.progress
FROM (SELECT :state AS state) AS own
LEFT JOIN (
    SELECT
        step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version,
        queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
        spawned_by, start_by_ts, snoozes, checkpoint, progress
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
) AS step ON own.state = 1;

-- snowflake/try_select
SELECT 1 FROM {table} WHERE FALSE;

-- snowflake/update_queue
-- Set the limits of a queue, if it still has the version before this one.
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

-- snowflake/use_schema
USE SCHEMA {database}.{schema};;

-- snowflake/workflow_steps
-- The steps of a workflow with ids after :after, by id.
SELECT
    DATE_PART(epoch_microsecond, CURRENT_TIMESTAMP()),
    step.step_id, step.status, step.task_type, step.retry_count,
    DATE_PART(epoch_microsecond, step.created_ts),
    DATE_PART(epoch_microsecond, step.last_update_ts), step.parents, step.spawned_by, step.error
FROM (SELECT 1 AS always) AS now
LEFT JOIN (
    SELECT step_id, status, task_type, retry_count, created_ts, last_update_ts, parents, spawned_by,
        SUBSTR(error, 1, 500) AS error
    FROM "STEP_TRACKER"
    WHERE workflow_id = :workflow_id AND step_id > :after
    QUALIFY ROW_NUMBER() OVER (ORDER BY step_id) <= :limit
) AS step ON TRUE
ORDER BY step.step_id;
