-- Written by python -m tests.adapters.rendered; do not change it by hand.

-- sqlite/add_orphan
INSERT OR REPLACE INTO orphans
    (step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- sqlite/alert
SELECT alert, status, since_ts, send_ts, tries, detail, version, last_update_ts
FROM alerts
WHERE alert = :alert;

-- sqlite/alerts
SELECT alert, status, since_ts, send_ts, tries, detail, version, last_update_ts
FROM alerts
ORDER BY alert;

-- sqlite/all_steps
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker
ORDER BY step_id;

-- sqlite/append_claims
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, incarnation)
SELECT step_id, version, 'claimed', last_update_ts, claimed_by, claim_token, incarnation
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token;

-- sqlite/append_completions
-- Append the events before the rows are updated, while these still show who holds the steps. The
-- plus signs stop SQLite from scanning all steps of the claim for each result.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, result)
SELECT step.step_id, step.version + 1, 'completed', :now, :pod_id, :claim_token, success.value
FROM json_each(:results) AS success
CROSS JOIN step_tracker AS step ON step.step_id = success.key
WHERE +step.status = 'claimed' AND +step.claim_token = :claim_token;

-- sqlite/append_fallen
-- Append the events before the rows are updated.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, error)
SELECT step.step_id, step.version + 1, 'cancelled', :now, :pod_id, fallen.value
FROM json_each(:errors) AS fallen
CROSS JOIN step_tracker AS step ON step.step_id = fallen.key
WHERE +step.status = 'waiting';

-- sqlite/append_plain_submission
-- Append the event of one step without options, quicker than reading it from its row.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, available_ts, priority, max_retries, task_type
)
VALUES (
    :step_id, 1, 'submitted', :created_ts, :pod_id,
    :payload, :available_ts, :priority, :max_retries, :task_type
);

-- sqlite/append_plain_submissions
-- Append the events of the last :count steps that this connection inserted, if they have no options.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, available_ts, priority, max_retries, task_type
)
SELECT
    step_id, version, 'submitted', created_ts, :pod_id,
    payload, available_ts, priority, max_retries, task_type
FROM step_tracker
WHERE rowid > last_insert_rowid() - :count;

-- sqlite/append_ready
-- Append the events before the rows are updated. The plus signs stop SQLite from scanning all waiting
-- steps.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id)
SELECT step.step_id, step.version + 1, 'ready', :now, :pod_id
FROM json_each(:step_ids) AS ready
CROSS JOIN step_tracker AS step ON step.step_id = ready.value
WHERE +step.status = 'waiting';

-- sqlite/append_restored
-- Append the events before the rows are updated.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id)
SELECT step.step_id, step.version + 1, 'restored', :now, :pod_id
FROM json_each(:step_ids) AS restored
CROSS JOIN step_tracker AS step ON step.step_id = restored.value
WHERE +step.status = 'cancelled';

-- sqlite/append_submission
-- Append the event of one step, quicker than reading it from its row.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
)
VALUES (
    :step_id, 1, 'submitted', :created_ts, :pod_id,
    :payload, :priority, :max_retries, :available_ts, :queue, :task_type, :key, :unique_key,
    :unique_until_ts, :labels, :timeout, :parents, :workflow_id, :spawned_by, :start_by_ts
);

-- sqlite/append_submissions
-- Append the events of the last :count steps that this connection inserted; their rowids are
-- consecutive.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
)
SELECT
    step_id, version, 'submitted', created_ts, :pod_id,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
FROM step_tracker
WHERE rowid > last_insert_rowid() - :count;

-- sqlite/backlog
-- How many steps are claimed, and how many rows the inbox has; and of the pending steps of queues that
-- are not :limited, how many there are, how many are due, since when the one waits that has waited
-- longest, and when the next one becomes due.
SELECT
    (SELECT count(*) FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed'),
    (SELECT count(*) FROM step_inbox),
    count(*), count(*) FILTER (WHERE is_due),
    min(max(created_ts, available_ts)) FILTER (WHERE is_due),
    min(available_ts) FILTER (WHERE NOT is_due)
FROM (
    SELECT
        created_ts, available_ts,
        (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        ) AS is_due
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND (:limited = '[]' OR queue NOT IN (SELECT value FROM json_each(:limited)))
    UNION ALL
    SELECT
        created_ts, available_ts,
        (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        )
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
        AND (:limited = '[]' OR queue NOT IN (SELECT value FROM json_each(:limited)))
);

-- sqlite/backlog_within_limits
-- The same numbers of pending steps as in backlog.sql, by queue, of those that are :limited, and by key
-- of those that are :keyed.
SELECT
    queue, key, count(*), count(*) FILTER (WHERE is_due),
    min(max(created_ts, available_ts)) FILTER (WHERE is_due),
    min(available_ts) FILTER (WHERE NOT is_due)
FROM (
    SELECT
        queue, CASE WHEN queue IN (SELECT value FROM json_each(:keyed)) THEN key END AS key,
        created_ts, available_ts,
        (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        ) AS is_due
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND queue IN (SELECT value FROM json_each(:limited))
    UNION ALL
    SELECT
        queue, CASE WHEN queue IN (SELECT value FROM json_each(:keyed)) THEN key END,
        created_ts, available_ts,
        (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        )
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
        AND queue IN (SELECT value FROM json_each(:limited))
)
GROUP BY queue, key;

-- sqlite/begin_reading
BEGIN;

-- sqlite/begin_snapshot
-- The first read of a transaction fixes the snapshot that it sees.
SELECT EXISTS (SELECT 1 FROM pod_health) AS has_pods;

-- sqlite/begin_writing
BEGIN IMMEDIATE;

-- sqlite/briefs
-- All events of the log, those of a step together and in order.
SELECT
    event.step_id, step.queue, step.task_type, event.type, event.event_ts, event.available_ts,
    event.parents IS NOT NULL AND event.type = 'submitted', event.pod_id, event.incarnation,
    substr(event.error, 1, 500)
FROM step_events AS event
CROSS JOIN step_tracker AS step ON step.step_id = event.step_id
ORDER BY event.step_id, event.version;

-- sqlite/briefs_after
-- All events of the next steps by id. CROSS JOIN keeps those of a step together and in order.
SELECT
    event.step_id, step.queue, step.task_type, event.type, event.event_ts, event.available_ts,
    event.parents IS NOT NULL AND event.type = 'submitted', event.pod_id, event.incarnation,
    substr(event.error, 1, 500)
FROM (
    SELECT step_id, queue, task_type
    FROM step_tracker
    WHERE step_id > :after
    ORDER BY step_id
    LIMIT :limit
) AS step
CROSS JOIN step_events AS event ON event.step_id = step.step_id;

-- sqlite/briefs_of_attempts
-- All events of the steps that changed last in a span of time, of those that changed first after it, and
-- of steps that are claimed. CROSS JOIN keeps those of a step together and in order.
SELECT
    event.step_id, step.queue, step.task_type, event.type, event.event_ts, event.available_ts,
    event.parents IS NOT NULL AND event.type = 'submitted', event.pod_id, event.incarnation,
    substr(event.error, 1, 500)
FROM (
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_events
        WHERE event_ts >= :since AND event_ts < :until
        ORDER BY event_ts DESC
        LIMIT :most
    )
    UNION
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_events
        WHERE event_ts >= :until AND event_ts < :until + :look_ahead
        ORDER BY event_ts
        LIMIT :most
    )
    UNION
    SELECT step_id
    FROM (
        SELECT step_id
        FROM step_tracker INDEXED BY step_tracker_claimed
        WHERE status = 'claimed'
        LIMIT :most
    )
) AS changed
CROSS JOIN step_tracker AS step ON step.step_id = changed.step_id
CROSS JOIN step_events AS event ON event.step_id = step.step_id;

-- sqlite/briefs_of_changed
-- All events of the steps that changed in a span of time. CROSS JOIN keeps those of a step together and
-- in order.
SELECT
    event.step_id, step.queue, step.task_type, event.type, event.event_ts, event.available_ts,
    event.parents IS NOT NULL AND event.type = 'submitted', event.pod_id, event.incarnation,
    substr(event.error, 1, 500)
FROM (
    SELECT DISTINCT step_id
    FROM step_events
    WHERE event_ts >= :since AND event_ts < :until
    ORDER BY step_id
) AS changed
CROSS JOIN step_tracker AS step ON step.step_id = changed.step_id
CROSS JOIN step_events AS event ON event.step_id = step.step_id;

-- sqlite/cancel_fallen
-- Apply the event Cancelled to these waiting steps, each with its error.
UPDATE step_tracker
SET status = 'cancelled', last_update_ts = :now, version = version + 1, error = fallen.value
FROM json_each(:errors) AS fallen
WHERE step_id = fallen.key AND +status = 'waiting';

-- sqlite/change_counter
-- This number changes after every commit by another connection.
PRAGMA data_version;

-- sqlite/claim
-- Apply the event Claimed to these rows.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (SELECT value FROM json_each(:ids));

-- sqlite/claim_some
-- Apply the event Claimed to those of the rows :ids, the first of the queue, that a claim may take.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (
    SELECT id
    FROM (
        SELECT id, has_tries_left, row_number() OVER claim AS place, sum(size) OVER claim AS bytes
        FROM (
            SELECT rowid AS id, retry_count < max_retries AS has_tries_left,
                length(CAST(payload AS BLOB)) AS size, priority, created_ts, step_id
            FROM step_tracker
            WHERE rowid IN (SELECT value FROM json_each(:ids))
        )
        WINDOW claim AS (
            ORDER BY priority DESC, created_ts, step_id ROWS UNBOUNDED PRECEDING
        )
    )
    WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= :free OR has_tries_left)
);

-- sqlite/claimed
-- The steps that a claim has just taken, as one JSON value: between rows, SQLite would let other
-- threads run each time. What is known of all of them is not read from the rows.
SELECT json_group_array(
    json_array(
        step_id, 'claimed', priority, payload, retry_count, max_retries, created_ts, :now,
        available_ts, :pod_id, :incarnation, :claim_token, NULL, error, traceback, version, queue,
        task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
        spawned_by, start_by_ts, snoozes, checkpoint, progress
    )
) AS steps
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token;

-- sqlite/claimed_by_type
-- How many steps of each queue and task type are claimed, and the rowid of the last of them.
SELECT queue, task_type, count(*), max(rowid)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed'
GROUP BY queue, task_type;

-- sqlite/claimed_under
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claimed_by = :pod_id AND incarnation = :incarnation
    AND claim_token = :claim_token
ORDER BY priority DESC, created_ts, step_id;

-- sqlite/complete
-- Apply the event Completed to the steps that are still held under this claim token.
UPDATE step_tracker
SET status = 'completed', last_update_ts = :now, result = success.value, error = NULL,
    traceback = NULL, version = version + 1
FROM json_each(:results) AS success
WHERE step_id = success.key AND +status = 'claimed' AND +claim_token = :claim_token;

-- sqlite/completed_since
-- The steps that were completed since :since, among the rows between :after and :before, the latest
-- row first.
SELECT queue, task_type, last_update_ts
FROM step_tracker
WHERE rowid > :after AND rowid < :before AND status = 'completed' AND last_update_ts >= :since
ORDER BY rowid DESC;

-- sqlite/count_inbox_rows
SELECT count(*) FROM step_inbox;

-- sqlite/counts
-- The number of steps in each status. Completed steps are the rest of the total: counting them
-- would read the whole table.
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND is_queued = 1
UNION ALL
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND is_queued = 0
UNION ALL
SELECT 'claimed', count(*) FROM step_tracker WHERE status = 'claimed'
UNION ALL
SELECT 'failed', count(*) FROM step_tracker WHERE status = 'failed'
UNION ALL
SELECT * FROM (
    SELECT status, count(*) FROM step_tracker
    WHERE status <> 'completed' AND status <> 'claimed' AND status <> 'pending'
        AND status <> 'failed'
    GROUP BY status
)
UNION ALL
SELECT 'total', count(*) FROM step_tracker;

-- sqlite/create_recovery_queue
CREATE TABLE orphans (
    step_id      TEXT    NOT NULL PRIMARY KEY,
    claim_token  TEXT    NOT NULL,
    claimed_by   TEXT    NOT NULL,
    incarnation  TEXT    NOT NULL,
    retry_count  INTEGER NOT NULL,
    max_retries  INTEGER NOT NULL,
    size         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- sqlite/dead_letters
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker
WHERE status = 'failed' AND (last_update_ts, step_id) < (:before_ts, :before_id)
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit;

-- sqlite/declared_dead
-- The pods that are down because they were declared dead.
SELECT pod.pod_id
FROM pod_health AS pod
JOIN pod_events AS event ON event.pod_id = pod.pod_id AND event.version = pod.version
WHERE pod.status = 'down' AND event.type = 'declared_dead';

-- sqlite/delayed_by_type
-- How many delayed steps each queue and task type has, how many of them are not due, and when the first
-- of the others became due.
SELECT
    queue, task_type, count(*), count(*) FILTER (WHERE available_ts > :now),
    min(available_ts) FILTER (WHERE available_ts <= :now)
FROM step_tracker INDEXED BY step_tracker_delayed
WHERE status = 'pending' AND is_queued = 0
GROUP BY queue, task_type;

-- sqlite/delayed_pairs
-- The pairs of queue and task type that have delayed steps. Two entries of the
-- index are read for each pair, however many steps it has.
WITH RECURSIVE pair(queue, task_type) AS (
    SELECT queue, task_type
    FROM (
        SELECT queue, task_type
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
        ORDER BY queue, task_type
        LIMIT 1
    )
    UNION ALL
    SELECT after.queue, after.task_type
    FROM pair
    JOIN step_tracker AS after ON after.rowid = ifnull(
        (
            SELECT rowid
            FROM step_tracker INDEXED BY step_tracker_delayed
            WHERE status = 'pending' AND is_queued = 0 AND queue = pair.queue
                AND task_type > pair.task_type
            ORDER BY task_type
            LIMIT 1
        ),
        (
            SELECT rowid
            FROM step_tracker INDEXED BY step_tracker_delayed
            WHERE status = 'pending' AND is_queued = 0 AND queue > pair.queue
            ORDER BY queue, task_type
            LIMIT 1
        )
    )
)
SELECT queue, task_type FROM pair;

-- sqlite/delete_alert
DELETE FROM alerts
WHERE alert = :alert;

-- sqlite/delete_dependencies
DELETE FROM dependencies
WHERE (parent_id, child_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:removed));

-- sqlite/delete_dependencies_of
DELETE FROM dependencies
WHERE child_id IN (SELECT value FROM json_each(:step_ids));

-- sqlite/delete_inbox_rows
DELETE FROM step_inbox
WHERE row_id <= :row_id;

-- sqlite/delete_pods
DELETE FROM pod_health
WHERE pod_id IN (SELECT value FROM json_each(:pod_ids));

-- sqlite/delete_queues
DELETE FROM queues
WHERE queue IN (SELECT value FROM json_each(:queues));

-- sqlite/delete_schedule
DELETE FROM schedules
WHERE schedule = :schedule;

-- sqlite/delete_unknown_steps
-- Delete those of the steps that have no events.
DELETE FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
    AND NOT EXISTS (SELECT 1 FROM step_events AS event WHERE event.step_id = step_tracker.step_id);

-- sqlite/dependencies_of
SELECT parent_id, child_id, kind
FROM dependencies
WHERE child_id IN (SELECT value FROM json_each(:step_ids));

-- sqlite/dependents
-- The dependencies on steps that ended, given by id and whether they are lost: they failed or were
-- cancelled. With them fall the waiting steps that need their success, and so on down.
WITH RECURSIVE ended (step_id, is_lost) AS (
    SELECT key, value FROM json_each(:ended)
    UNION
    SELECT dependency.child_id, 1
    FROM ended
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = ended.step_id
    CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id
    WHERE ended.is_lost AND dependency.kind = 'success' AND +child.status = 'waiting'
)
SELECT dependency.parent_id, dependency.child_id, dependency.kind, child.status
FROM ended
CROSS JOIN dependencies AS dependency ON dependency.parent_id = ended.step_id
CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id;

-- sqlite/events_of_steps
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
    spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback, checkpoint
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
ORDER BY step_id, version;

-- sqlite/events_of_steps_until
-- The events of steps until a moment, with what a list shows of them.
SELECT
    step_id, version, type, event_ts, pod_id, iif(payload IS NULL, NULL, 'null'), priority,
    max_retries, available_ts, queue, task_type, key, unique_key, unique_until_ts, labels, timeout,
    parents, workflow_id, spawned_by, start_by_ts, claim_token, incarnation,
    iif(result IS NULL, NULL, 'null'), substr(error, 1, 500), NULL,
    iif(checkpoint IS NULL, NULL, 'null')
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids)) AND event_ts <= :moment
ORDER BY step_id, version;

-- sqlite/expired
SELECT step_id
FROM step_tracker INDEXED BY step_tracker_start_by
WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
    AND snoozes = 0 AND start_by_ts < :now
LIMIT :limit;

-- sqlite/failed_by_type
-- How many dead letters each queue and task type has, how many of them failed since :since, and when
-- the first of these did.
SELECT
    queue, task_type, count(*), count(*) FILTER (WHERE last_update_ts >= :since),
    min(last_update_ts) FILTER (WHERE last_update_ts >= :since)
FROM step_tracker INDEXED BY step_tracker_failed
WHERE status = 'failed'
GROUP BY queue, task_type;

-- sqlite/fallen
-- The cancelled steps that depend on the success of one of these, or of others of them.
WITH RECURSIVE lost (step_id) AS (
    SELECT value FROM json_each(:step_ids)
    UNION
    SELECT dependency.child_id
    FROM lost
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = lost.step_id
    CROSS JOIN step_tracker AS child ON child.step_id = dependency.child_id
    WHERE dependency.kind = 'success' AND +child.status = 'cancelled'
)
SELECT lost.step_id
FROM lost
CROSS JOIN step_tracker AS step ON step.step_id = lost.step_id
WHERE +step.status = 'cancelled';

-- sqlite/file_identity
-- The application id and schema version in the file's header, and the number of tables, indexes
-- etc.
SELECT (SELECT application_id FROM pragma_application_id),
       (SELECT user_version FROM pragma_user_version),
       (SELECT count(*) FROM sqlite_master);

-- sqlite/first_due
-- The rowids of the first steps of the queue, as one JSON value; whether a claim may take all of
-- them, since no prefetched one is on its last try and the sum of their payloads is not too large;
-- the first and the last queue and task type of which steps wait; whether that first queue has
-- limits; whether there is a delayed step; and whether one has expired. They are the first steps in the
-- order of claims if that first and that last are the same.
SELECT
    json_group_array(id) AS ids,
    (count(*) < 2 OR total(size) <= :most_bytes)
        AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0)
        AS may_take_all,
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    ) AS first_pair,
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue DESC, task_type DESC, key IS NULL DESC
        LIMIT 1
    ) AS last_pair,
    EXISTS (
        SELECT 1
        FROM queues
        WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        )
            AND +queue = (
                SELECT queue
                FROM step_tracker INDEXED BY step_tracker_queue
                WHERE status = 'pending' AND is_queued = 1
                ORDER BY queue
                LIMIT 1
            )
    ) AS first_has_limits,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
    ) AS is_delayed,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_start_by
        WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
            AND snoozes = 0 AND start_by_ts < :now
    ) AS is_expired
FROM (
    SELECT rowid AS id, length(CAST(payload AS BLOB)) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        )
    ORDER BY queue, task_type, key IS NULL, priority DESC, created_ts, step_id
    LIMIT :limit
);

-- sqlite/first_of_keys
-- The first steps with keys of a queue with one task type, of each key as many as it has room for, at
-- most :each of a key. Reads one entry of an index for each key, however many steps wait with it.
WITH RECURSIVE
    used AS MATERIALIZED (
        SELECT value ->> 0 AS key, value ->> 1 AS claimed
        FROM json_each(:used)
    ),
    waiting (key) AS (
        SELECT min(key)
        FROM step_tracker INDEXED BY step_tracker_key
        WHERE status = 'pending' AND is_queued = 1 AND key IS NOT NULL AND queue = :queue
            AND task_type = :task_type
        UNION ALL
        SELECT (
            SELECT min(step_tracker.key)
            FROM step_tracker INDEXED BY step_tracker_key
            WHERE status = 'pending' AND is_queued = 1 AND step_tracker.key IS NOT NULL
                AND queue = :queue AND task_type = :task_type AND step_tracker.key > waiting.key
        )
        FROM waiting
        WHERE key IS NOT NULL
    ),
    room (key, steps) AS MATERIALIZED (
        SELECT key, :per_key - coalesce(claimed, 0)
        FROM waiting
        LEFT JOIN used USING (key)
        WHERE key IS NOT NULL AND :per_key > coalesce(claimed, 0)
    ),
    first (id) AS (
        SELECT step.value
        FROM room
        JOIN json_each((
            SELECT json_group_array(id)
            FROM (
                SELECT rowid AS id
                FROM step_tracker INDEXED BY step_tracker_key
                WHERE status = 'pending' AND is_queued = 1 AND key IS NOT NULL AND queue = :queue
                    AND task_type = :task_type AND key = room.key
                    AND (
                        available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
                    )
                ORDER BY priority DESC, created_ts, step_id
                LIMIT :each
            )
        )) AS step
        WHERE step.key < room.steps
    )
SELECT
    rowid AS id, step_id, priority, created_ts, queue, key,
    length(CAST(payload AS BLOB)) AS payload_size, retry_count < max_retries AS has_tries_left
FROM first
JOIN step_tracker ON step_tracker.rowid = first.id
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit;

-- sqlite/first_of_queue
-- The first steps of a queue with one task type.
SELECT
    rowid AS id, step_id, priority, created_ts, queue, key,
    length(CAST(payload AS BLOB)) AS payload_size, retry_count < max_retries AS has_tries_left
FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
    AND (key IS NULL) = :is_keyless
    AND (
        available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
    )
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit;

-- sqlite/first_of_queue_by_key
-- The first steps with keys of a queue with one task type, of each key as many as it has room for, among the
-- next :window that wait. The last column says how many these were. :used has the numbers of claimed
-- steps, pairs of key and number.
WITH used AS MATERIALIZED (
    SELECT value ->> 0 AS key, value ->> 1 AS claimed
    FROM json_each(:used)
)
SELECT id, step_id, priority, created_ts, queue, key, payload_size, has_tries_left, seen
FROM (
    SELECT
        *,
        row_number() OVER (PARTITION BY key ORDER BY priority DESC, created_ts, step_id) AS place,
        count(*) OVER () AS seen
    FROM (
        SELECT
            rowid AS id, step_id, priority, created_ts, queue, key,
            length(CAST(payload AS BLOB)) AS payload_size, retry_count < max_retries AS has_tries_left
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
            AND (key IS NULL) = 0
            AND (
                available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
            )
        ORDER BY priority DESC, created_ts, step_id
        LIMIT :window
    )
)
LEFT JOIN used USING (key)
WHERE place <= :per_key - coalesce(claimed, 0)
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit;

-- sqlite/has_dependencies
SELECT EXISTS (SELECT 1 FROM dependencies) AS has_dependencies;

-- sqlite/has_inbox_rows
SELECT EXISTS (SELECT 1 FROM step_inbox) AS has_inbox_rows;

-- sqlite/has_log_index
SELECT 1 FROM pragma_index_list('step_events') WHERE name = 'step_events_time';

-- sqlite/history
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
    spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback, checkpoint
FROM step_events
WHERE step_id = :step_id
ORDER BY version;

-- sqlite/inbox
SELECT
    row_id, CAST(payload AS BLOB), CAST(task_type AS BLOB), CAST(queue AS BLOB), priority,
    CAST(key AS BLOB), CAST(unique_key AS BLOB), unique_for,
    CAST(on_conflict AS BLOB), CAST(labels AS BLOB), delay,
    available_ts, CAST(step_id AS BLOB), max_retries, timeout
FROM step_inbox
ORDER BY row_id
LIMIT :limit;

-- sqlite/inbox_row
SELECT
    row_id, CAST(payload AS BLOB), CAST(task_type AS BLOB), CAST(queue AS BLOB), priority,
    CAST(key AS BLOB), CAST(unique_key AS BLOB), unique_for,
    CAST(on_conflict AS BLOB), CAST(labels AS BLOB), delay,
    available_ts, CAST(step_id AS BLOB), max_retries, timeout
FROM step_inbox
WHERE step_id = :step_id
ORDER BY row_id
LIMIT 1;

-- sqlite/insert_dependency
INSERT INTO dependencies (parent_id, child_id, kind)
VALUES (?, ?, ?);

-- sqlite/insert_inbox_row
INSERT INTO step_inbox (
    payload, queue, priority, key, unique_key, unique_for, on_conflict, labels, delay,
    step_id, max_retries, timeout
)
VALUES (
    :payload, :queue, :priority, :key, :unique_key, :unique_for, :on_conflict, :labels,
    :delay, :step_id, :max_retries, :timeout
);

-- sqlite/insert_pod_event
INSERT INTO pod_events (pod_id, version, type, event_ts, by_pod_id, incarnation, description)
VALUES (:pod_id, :version, :type, :event_ts, :by_pod_id, :incarnation, :description);

-- sqlite/insert_queue_event
INSERT INTO queue_events (queue, version, type, event_ts, changed_by, max_running,
    max_running_per_key, rate_count, rate_period, paused)
VALUES (:queue, :version, :type, :event_ts, :changed_by, :max_running, :max_running_per_key,
    :rate_count, :rate_period, :paused);

-- sqlite/insert_schedule_event
INSERT INTO schedule_events (schedule, version, type, event_ts, changed_by, step, cron, every, tz,
    overlap, missed, window, status)
VALUES (:schedule, :version, :type, :event_ts, :changed_by, :step, :cron, :every, :tz, :overlap,
    :missed, :window, :status);

-- sqlite/insert_step_event
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, payload, priority, max_retries,
    available_ts, queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents,
    workflow_id, spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback,
    checkpoint)
VALUES (:step_id, :version, :type, :event_ts, :pod_id, :payload, :priority, :max_retries,
    :available_ts, :queue, :task_type, :key, :unique_key, :unique_until_ts, :labels, :timeout,
    :parents, :workflow_id, :spawned_by, :start_by_ts, :claim_token, :incarnation, :result, :error,
    :traceback, :checkpoint);

-- sqlite/is_any_claimed
SELECT
    EXISTS (SELECT 1 FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed') AS is_any_claimed,
    (SELECT min(next_ts)
    FROM schedules
    WHERE next_ts IS NOT NULL) AS next_firing;

-- sqlite/is_any_delayed
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0
), EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_start_by
    WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
        AND snoozes = 0 AND start_by_ts < :now
);

-- sqlite/is_any_delayed_due
-- Whether a delayed step of one queue and task type is due by now.
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
        AND available_ts <= :now
);

-- sqlite/is_any_due
-- Whether a queued step of one queue and task type is due.
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
        AND (
            available_ts <= max(:now, last_update_ts) OR (retry_count > 0 AND last_update_ts > :now)
        )
);

-- sqlite/last_place
SELECT max(rowid) FROM step_tracker;

-- sqlite/latest_heartbeat
SELECT coalesce(max(last_heartbeat_ts), 0) FROM pod_health;

-- sqlite/latest_window
-- The :most latest rows before :before: the first of them, their number, and when the last of them
-- was submitted.
SELECT min(place), count(*), max(created_ts)
FROM (
    SELECT rowid AS place, created_ts
    FROM step_tracker
    WHERE rowid < :before
    ORDER BY rowid DESC
    LIMIT :most
);

-- sqlite/list_among
-- Steps that a filter selects among the rows :places, the latest first.
SELECT
    step.rowid, step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
        step.created_ts, step.last_update_ts, step.available_ts, step.claimed_by, step.version,
        step.queue, step.task_type, step.key, step.unique_key, step.labels, step.timeout,
        step.workflow_id, step.progress, step.start_by_ts, step.snoozes, substr(step.error, 1, 500)
FROM json_each(:places) AS place
JOIN step_tracker AS step ON step.rowid = place.value
WHERE step.rowid < :before
    AND (:statuses IS NULL OR step.status IN (SELECT value FROM json_each(:statuses)))
    AND (:task_types IS NULL OR step.task_type IN (SELECT value FROM json_each(:task_types)))
    AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
    AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
    AND NOT EXISTS (
        SELECT 1
        FROM json_each(:labels)
        WHERE instr(',' || substr(coalesce(step.labels, ''), 2), value) = 0
    )
    AND (:pod_id IS NULL OR step.claimed_by = :pod_id)
    AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
    AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
    AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
    AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
    AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
ORDER BY step.rowid DESC
LIMIT :limit;

-- sqlite/list_among_at
-- Steps that a filter may have selected at a moment, among the rows :places, the latest first.
SELECT
    step.rowid, step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
        step.created_ts, step.last_update_ts, step.available_ts, step.claimed_by, step.version,
        step.queue, step.task_type, step.key, step.unique_key, step.labels, step.timeout,
        step.workflow_id, step.progress, step.start_by_ts, step.snoozes, substr(step.error, 1, 500)
FROM json_each(:places) AS place
JOIN step_tracker AS step ON step.rowid = place.value
WHERE step.rowid < :before
    AND step.created_ts <= :moment
    AND (
        (
            step.last_update_ts <= :moment
            AND (:statuses IS NULL OR step.status IN (SELECT value FROM json_each(:statuses)))
            AND (:task_types IS NULL OR step.task_type IN (SELECT value FROM json_each(:task_types)))
            AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
            AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
            AND NOT EXISTS (
                SELECT 1
                FROM json_each(:labels)
                WHERE instr(',' || substr(coalesce(step.labels, ''), 2), value) = 0
            )
            AND (:pod_id IS NULL OR step.claimed_by = :pod_id)
            AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
            AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
            AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
            AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
            AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
        )
        OR (
            step.last_update_ts > :moment
            AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
            AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
            AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
            AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
            AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
            AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
            AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
        )
    )
ORDER BY step.rowid DESC
LIMIT :limit;

-- sqlite/list_latest
-- Steps that a filter selects among the :most latest before :before, the latest first.
SELECT
    latest.place, step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
        step.created_ts, step.last_update_ts, step.available_ts, step.claimed_by, step.version,
        step.queue, step.task_type, step.key, step.unique_key, step.labels, step.timeout,
        step.workflow_id, step.progress, step.start_by_ts, step.snoozes, substr(step.error, 1, 500)
FROM (
    SELECT rowid AS place FROM step_tracker WHERE rowid < :before ORDER BY rowid DESC LIMIT :most
) AS latest
JOIN step_tracker AS step ON step.rowid = latest.place
WHERE (:statuses IS NULL OR step.status IN (SELECT value FROM json_each(:statuses)))
AND (:task_types IS NULL OR step.task_type IN (SELECT value FROM json_each(:task_types)))
AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
AND NOT EXISTS (
    SELECT 1
    FROM json_each(:labels)
    WHERE instr(',' || substr(coalesce(step.labels, ''), 2), value) = 0
)
AND (:pod_id IS NULL OR step.claimed_by = :pod_id)
AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
ORDER BY latest.place DESC
LIMIT :limit;

-- sqlite/list_latest_at
-- Steps that a filter may have selected at a moment, among the :most latest rows, the latest first.
SELECT
    latest.place, step.step_id, step.status, step.priority, step.retry_count, step.max_retries,
        step.created_ts, step.last_update_ts, step.available_ts, step.claimed_by, step.version,
        step.queue, step.task_type, step.key, step.unique_key, step.labels, step.timeout,
        step.workflow_id, step.progress, step.start_by_ts, step.snoozes, substr(step.error, 1, 500)
FROM (
    SELECT rowid AS place FROM step_tracker WHERE rowid < :before ORDER BY rowid DESC LIMIT :most
) AS latest
JOIN step_tracker AS step ON step.rowid = latest.place
WHERE step.created_ts <= :moment
AND (
    (
        step.last_update_ts <= :moment
        AND (:statuses IS NULL OR step.status IN (SELECT value FROM json_each(:statuses)))
        AND (:task_types IS NULL OR step.task_type IN (SELECT value FROM json_each(:task_types)))
        AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
        AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
        AND NOT EXISTS (
            SELECT 1
            FROM json_each(:labels)
            WHERE instr(',' || substr(coalesce(step.labels, ''), 2), value) = 0
        )
        AND (:pod_id IS NULL OR step.claimed_by = :pod_id)
        AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
        AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
        AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
        AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
        AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
    )
    OR (
        step.last_update_ts > :moment
        AND (:queues IS NULL OR step.queue IN (SELECT value FROM json_each(:queues)))
        AND (:keys IS NULL OR step.key IN (SELECT value FROM json_each(:keys)))
        AND (:workflow_id IS NULL OR step.workflow_id = :workflow_id)
        AND (:in_workflow IS NULL OR step.workflow_id IS NOT NULL)
        AND substr(step.step_id, 1, length(:id_prefix)) = :id_prefix
        AND (:submitted_from IS NULL OR step.created_ts >= :submitted_from)
        AND (:submitted_before IS NULL OR step.created_ts < :submitted_before)
    )
)
ORDER BY latest.place DESC
LIMIT :limit;

-- sqlite/log_of_pods
-- Events of pods in the log, the oldest first.
SELECT event.event_ts, event.pod_id, event.version, event.type, event.by_pod_id
FROM pod_events AS event
WHERE (event.event_ts, event.pod_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.pod_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.by_pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts, event.pod_id, event.version
LIMIT :limit;

-- sqlite/log_of_pods_newest
-- Events of pods in the log, the latest first.
SELECT event.event_ts, event.pod_id, event.version, event.type, event.by_pod_id
FROM pod_events AS event
WHERE (event.event_ts, event.pod_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.pod_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.by_pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts DESC, event.pod_id DESC, event.version DESC
LIMIT :limit;

-- sqlite/log_of_queues
-- Events of queues in the log, the oldest first.
SELECT event.event_ts, event.queue, event.version, event.type, event.changed_by, event.queue
FROM queue_events AS event
WHERE (event.event_ts, event.queue, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.queue, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR event.queue = :queue)
ORDER BY event.event_ts, event.queue, event.version
LIMIT :limit;

-- sqlite/log_of_queues_newest
-- Events of queues in the log, the latest first.
SELECT event.event_ts, event.queue, event.version, event.type, event.changed_by, event.queue
FROM queue_events AS event
WHERE (event.event_ts, event.queue, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.queue, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR event.queue = :queue)
ORDER BY event.event_ts DESC, event.queue DESC, event.version DESC
LIMIT :limit;

-- sqlite/log_of_schedules
-- Events of schedules in the log, the oldest first.
SELECT event.event_ts, event.schedule, event.version, event.type, event.changed_by
FROM schedule_events AS event
WHERE (event.event_ts, event.schedule, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.schedule, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts, event.schedule, event.version
LIMIT :limit;

-- sqlite/log_of_schedules_newest
-- Events of schedules in the log, the latest first.
SELECT event.event_ts, event.schedule, event.version, event.type, event.changed_by
FROM schedule_events AS event
WHERE (event.event_ts, event.schedule, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.schedule, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.changed_by = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
ORDER BY event.event_ts DESC, event.schedule DESC, event.version DESC
LIMIT :limit;

-- sqlite/log_of_step
-- The events of one step in the log.
SELECT
    event.event_ts, event.step_id, event.version, event.type, event.pod_id, step.queue,
    nullif(step.task_type, ''), substr(event.error, 1, 500)
FROM step_events AS event
LEFT JOIN step_tracker AS step ON step.step_id = event.step_id
WHERE (event.event_ts, event.step_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.step_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR step.queue = :queue)
    AND event.step_id = :step_id;

-- sqlite/log_of_steps
-- Events of steps in the log, the oldest first.
SELECT
    event.event_ts, event.step_id, event.version, event.type, event.pod_id, step.queue,
    nullif(step.task_type, ''), substr(event.error, 1, 500)
FROM step_events AS event
LEFT JOIN step_tracker AS step ON step.step_id = event.step_id
WHERE (event.event_ts, event.step_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.step_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR step.queue = :queue)
ORDER BY event.event_ts, event.step_id, event.version
LIMIT :limit;

-- sqlite/log_of_steps_newest
-- Events of steps in the log, the latest first.
SELECT
    event.event_ts, event.step_id, event.version, event.type, event.pod_id, step.queue,
    nullif(step.task_type, ''), substr(event.error, 1, 500)
FROM step_events AS event
LEFT JOIN step_tracker AS step ON step.step_id = event.step_id
WHERE (event.event_ts, event.step_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.step_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR step.queue = :queue)
ORDER BY event.event_ts DESC, event.step_id DESC, event.version DESC
LIMIT :limit;

-- sqlite/make_log_index
-- Not among the migrations: it costs time at each change, and only those who look at the past need it.
CREATE INDEX IF NOT EXISTS step_events_time ON step_events (event_ts);

-- sqlite/make_ready
-- Apply the event Ready to these waiting steps.
UPDATE step_tracker
SET status = 'pending', last_update_ts = :now, version = version + 1,
    is_queued = (available_ts <= :now)
FROM json_each(:step_ids) AS ready
WHERE step_id = ready.value AND +status = 'waiting';

-- sqlite/mark_due
-- Queue the delayed steps of one queue and task type that are due by now.
UPDATE step_tracker
SET is_queued = 1
WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
    AND available_ts <= :now;

-- sqlite/mark_due_by_new_clock
-- After the clock was set back, mark retries that failed later than now as due. There is no index
-- for this, so it reads all delayed steps.
UPDATE step_tracker
SET is_queued = 1
WHERE status = 'pending' AND is_queued = 0 AND retry_count > 0 AND last_update_ts > :now;

-- sqlite/moments
-- When events of some types happened to steps.
SELECT step_id, type, event_ts
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
    AND type IN (SELECT value FROM json_each(:types))
ORDER BY step_id, version;

-- sqlite/newest_dead_letters
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker
WHERE status = 'failed'
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit;

-- sqlite/next_due
SELECT min(available_ts)
FROM step_tracker
WHERE status = 'pending' AND is_queued = 0 AND queue = :queue AND task_type = :task_type
    AND available_ts > :now;

-- sqlite/next_firing
SELECT min(next_ts)
FROM schedules
WHERE next_ts IS NOT NULL;

-- sqlite/next_steps
-- The last of the next steps by id, and how many these are.
SELECT max(step_id), count(*)
FROM (SELECT step_id FROM step_tracker WHERE step_id > :after ORDER BY step_id LIMIT :limit);

-- sqlite/orphans
-- INDEXED BY, as the planner would scan all steps by id to find the few claimed ones.
SELECT step_id, claim_token, claimed_by, incarnation, retry_count, max_retries,
    length(CAST(payload AS BLOB)) + ifnull(length(CAST(error AS BLOB)), 0)
        + ifnull(length(CAST(traceback AS BLOB)), 0) AS size
FROM step_tracker AS step INDEXED BY step_tracker_claimed
WHERE step.status = 'claimed' AND step.step_id > :after
    AND NOT EXISTS (
        SELECT 1
        FROM pod_health AS pod
        WHERE pod.pod_id = step.claimed_by AND pod.incarnation = step.incarnation
            AND pod.status <> 'down'
    )
ORDER BY step.step_id
LIMIT :limit;

-- sqlite/parents_columns
SELECT step_id, parents
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids)) AND parents IS NOT NULL;

-- sqlite/parents_of_open_steps
-- Those of the steps that are parents of steps that are not final.
SELECT DISTINCT parent.key
FROM step_tracker AS child INDEXED BY step_tracker_with_parents
CROSS JOIN json_each(child.parents) AS parent
WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
    AND parent.key IN (SELECT value FROM json_each(:step_ids));

-- sqlite/peek
-- What the claim of an idle pod reads.
SELECT
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    ) AS first_pair,
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue DESC, task_type DESC, key IS NULL DESC
        LIMIT 1
    ) AS last_pair,
    EXISTS (
        SELECT 1
        FROM queues
        WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        )
            AND +queue = (
                SELECT queue
                FROM step_tracker INDEXED BY step_tracker_queue
                WHERE status = 'pending' AND is_queued = 1
                ORDER BY queue
                LIMIT 1
            )
    ) AS first_has_limits,
    EXISTS (
        SELECT 1
        FROM queues
        WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        )
            AND +queue = (
                SELECT queue
                FROM step_tracker INDEXED BY step_tracker_queue
                WHERE status = 'pending' AND is_queued = 1
                ORDER BY queue DESC
                LIMIT 1
            )
    ) AS last_has_limits,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
    ) AS is_delayed,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_start_by
        WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
            AND snoozes = 0 AND start_by_ts < :now
    ) AS is_expired,
    (SELECT EXISTS (SELECT 1 FROM step_inbox) AS has_inbox_rows) AS has_inbox_rows,
    EXISTS (SELECT 1 FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed') AS is_any_claimed,
    (SELECT min(next_ts)
    FROM schedules
    WHERE next_ts IS NOT NULL) AS next_firing;

-- sqlite/places_in_workflows
-- The rows of the steps of all workflows.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_workflow
WHERE workflow_id IS NOT NULL
LIMIT :limit;

-- sqlite/places_of_ids
-- The rows whose ids begin with a text: they lie between it and the next text of its length.
SELECT rowid
FROM step_tracker
WHERE step_id >= :id_prefix AND step_id < :id_prefix || char(0x10ffff)
LIMIT :limit;

-- sqlite/places_of_statuses
-- The rows with one of these statuses, of which none is 'completed': each has an index.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND 'claimed' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND 'pending' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_delayed
WHERE status = 'pending' AND is_queued = 0 AND 'pending' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_failed
WHERE status = 'failed' AND 'failed' IN (SELECT value FROM json_each(:statuses))
UNION ALL
SELECT rowid FROM step_tracker INDEXED BY step_tracker_others
WHERE status <> 'completed' AND status <> 'claimed' AND status <> 'pending' AND status <> 'failed'
    AND status IN (SELECT value FROM json_each(:statuses))
LIMIT :limit;

-- sqlite/places_of_workflow
-- The rows of the steps of a workflow.
SELECT rowid FROM step_tracker INDEXED BY step_tracker_workflow
WHERE workflow_id = :workflow_id
LIMIT :limit;

-- sqlite/pod
SELECT pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, description
FROM pod_health
WHERE pod_id = :pod_id;

-- sqlite/pod_events
SELECT pod_id, version, type, event_ts, by_pod_id, incarnation, description
FROM pod_events
ORDER BY pod_id, version;

-- sqlite/pod_history
SELECT pod_id, version, type, event_ts, by_pod_id, incarnation, description
FROM pod_events
WHERE pod_id = :pod_id
ORDER BY version;

-- sqlite/pods
SELECT pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version, description
FROM pod_health
ORDER BY pod_id;

-- sqlite/prune_dependencies
-- Delete the dependencies of the steps that are pruned, and those on them, before the rows.
DELETE FROM dependencies
WHERE (parent_id, child_id) IN (
    SELECT dependency.parent_id, dependency.child_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    CROSS JOIN dependencies AS dependency
        ON dependency.parent_id = step.step_id
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
    UNION ALL
    SELECT dependency.parent_id, dependency.child_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    CROSS JOIN dependencies AS dependency ON dependency.child_id = step.step_id
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
);

-- sqlite/prune_pod
DELETE FROM pod_health
WHERE pod_id = :pod_id AND incarnation = :incarnation AND version = :version
    AND last_heartbeat_ts = :last_heartbeat_ts;

-- sqlite/prune_pod_events
DELETE FROM pod_events
WHERE pod_id = :pod_id;

-- sqlite/prune_step_events
-- Delete the events before the rows, while these still show which steps have not changed.
DELETE FROM step_events
WHERE step_id IN (
    SELECT step.step_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
);

-- sqlite/prune_steps
DELETE FROM step_tracker
WHERE rowid IN (
    SELECT step.rowid
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
);

-- sqlite/put_step
-- An existing row keeps its rowid, for these are in the order of submission, and its progress, which
-- is not in the log.
INSERT INTO step_tracker (step_id, status, priority, payload, retry_count, max_retries, created_ts,
    last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error, traceback,
    version, queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents,
    workflow_id, spawned_by, start_by_ts, snoozes, checkpoint, progress, is_queued)
VALUES (:step_id, :status, :priority, :payload, :retry_count, :max_retries, :created_ts,
    :last_update_ts, :available_ts, :claimed_by, :incarnation, :claim_token, :result, :error,
    :traceback, :version, :queue, :task_type, :key, :unique_key, :unique_until_ts, :labels,
    :timeout, :parents, :workflow_id, :spawned_by, :start_by_ts, :snoozes, :checkpoint, :progress, :available_ts <= :last_update_ts)
ON CONFLICT (step_id) DO UPDATE
SET status = excluded.status, priority = excluded.priority, payload = excluded.payload,
    retry_count = excluded.retry_count, max_retries = excluded.max_retries,
    created_ts = excluded.created_ts, last_update_ts = excluded.last_update_ts,
    available_ts = excluded.available_ts, claimed_by = excluded.claimed_by,
    incarnation = excluded.incarnation, claim_token = excluded.claim_token,
    result = excluded.result, error = excluded.error, traceback = excluded.traceback,
    version = excluded.version, queue = excluded.queue, task_type = excluded.task_type,
    key = excluded.key, unique_key = excluded.unique_key,
    unique_until_ts = excluded.unique_until_ts, labels = excluded.labels,
    timeout = excluded.timeout, parents = excluded.parents, workflow_id = excluded.workflow_id,
    spawned_by = excluded.spawned_by, start_by_ts = excluded.start_by_ts,
    snoozes = excluded.snoozes, checkpoint = excluded.checkpoint, progress = step_tracker.progress,
    is_queued = excluded.is_queued;

-- sqlite/queue_events
SELECT queue, version, type, event_ts, changed_by, max_running, max_running_per_key, rate_count,
    rate_period, paused
FROM queue_events
ORDER BY queue, version;

-- sqlite/queue_history
SELECT queue, version, type, event_ts, changed_by, max_running, max_running_per_key, rate_count,
    rate_period, paused
FROM queue_events
WHERE queue = :queue
ORDER BY version;

-- sqlite/queued_by_type
-- How many steps of each queue and task type are queued, when the oldest of them was submitted and
-- from when on it may be claimed, and its rowid. The entries of the index are enough to count.
SELECT oldest.queue, oldest.task_type, number, step.created_ts, step.available_ts, place
FROM (
    SELECT queue, task_type, count(*) AS number, min(created_ts), rowid AS place
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
    GROUP BY queue, task_type
) AS oldest
JOIN step_tracker AS step ON step.rowid = place;

-- sqlite/queued_longest
-- When the queued step of a queue and task type that has waited longest was submitted or became due,
-- if that was before :before. Later ones were submitted later, so their rows are not read.
SELECT min(max(created_ts, available_ts))
FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
    AND created_ts <= :before;

-- sqlite/queues
SELECT queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens,
    refilled_ts, version, last_update_ts
FROM queues
ORDER BY queue;

-- sqlite/queues_with_limits
-- The queues whose limits concern a claim now, since they have steps that wait.
SELECT queue, max_running, max_running_per_key, rate_count, rate_period, paused, tokens,
    refilled_ts, version, last_update_ts
FROM queues
WHERE (
    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
)
    AND EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1 AND step_tracker.queue = queues.queue
    );

-- sqlite/read_pending_pairs
SELECT
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    ) AS first_pair,
    (
        SELECT json_array(queue, task_type, key IS NULL)
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue DESC, task_type DESC, key IS NULL DESC
        LIMIT 1
    ) AS last_pair,
    EXISTS (
        SELECT 1
        FROM queues
        WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        )
            AND +queue = (
                SELECT queue
                FROM step_tracker INDEXED BY step_tracker_queue
                WHERE status = 'pending' AND is_queued = 1
                ORDER BY queue
                LIMIT 1
            )
    ) AS first_has_limits,
    EXISTS (
        SELECT 1
        FROM queues
        WHERE (
            paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
        )
            AND +queue = (
                SELECT queue
                FROM step_tracker INDEXED BY step_tracker_queue
                WHERE status = 'pending' AND is_queued = 1
                ORDER BY queue DESC
                LIMIT 1
            )
    ) AS last_has_limits,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_delayed
        WHERE status = 'pending' AND is_queued = 0
    ) AS is_delayed,
    EXISTS (
        SELECT 1
        FROM step_tracker INDEXED BY step_tracker_start_by
        WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
            AND snoozes = 0 AND start_by_ts < :now
    ) AS is_expired;

-- sqlite/rejected_completions
-- The ids of these successes that are not completed under this claim token.
SELECT success.key
FROM json_each(:results) AS success
WHERE NOT EXISTS (
    SELECT 1
    FROM step_tracker
    WHERE step_id = success.key AND +status = 'completed' AND +claim_token = :claim_token
);

-- sqlite/restore
-- Apply the event Restored to these cancelled steps.
UPDATE step_tracker
SET status = 'waiting', last_update_ts = :now, version = version + 1, retry_count = 0, snoozes = 0,
    claimed_by = NULL, incarnation = NULL, claim_token = NULL, error = NULL, traceback = NULL,
    start_by_ts = NULL, is_queued = (available_ts <= :now)
FROM json_each(:step_ids) AS restored
WHERE step_id = restored.value AND +status = 'cancelled';

-- sqlite/row_at_place
-- The last row up to a place, and when its step was submitted.
SELECT rowid, created_ts FROM step_tracker WHERE rowid <= :place ORDER BY rowid DESC LIMIT 1;

-- sqlite/rows_before
-- The :most latest rows between :after and :before: the first of them, and their number.
SELECT min(place), count(*)
FROM (
    SELECT rowid AS place
    FROM step_tracker
    WHERE rowid > :after AND rowid < :before
    ORDER BY rowid DESC
    LIMIT :most
);

-- sqlite/running
-- How many steps of these queues are claimed, by queue and key, apart from those with the claims
-- :ended, pairs of step id and claim token.
SELECT queue, key, count(*)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND queue IN (SELECT value FROM json_each(:queues))
    AND (step_id, claim_token) NOT IN (
        SELECT value ->> 0, value ->> 1 FROM json_each(:ended)
    )
GROUP BY queue, key;

-- sqlite/schedule
SELECT schedule, step, cron, every, tz, overlap, missed, window, status, next_ts, last_ts,
    last_step_id, skipped, firings, version, last_update_ts
FROM schedules
WHERE schedule = :schedule;

-- sqlite/schedule_events
SELECT schedule, version, type, event_ts, changed_by, step, cron, every, tz, overlap, missed,
    window, status
FROM schedule_events
ORDER BY schedule, version;

-- sqlite/schedule_history
SELECT schedule, version, type, event_ts, changed_by, step, cron, every, tz, overlap, missed,
    window, status
FROM schedule_events
WHERE schedule = :schedule
ORDER BY version;

-- sqlite/schedules
SELECT schedule, step, cron, every, tz, overlap, missed, window, status, next_ts, last_ts,
    last_step_id, skipped, firings, version, last_update_ts
FROM schedules
ORDER BY schedule;

-- sqlite/statuses
SELECT step_id, status
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids));

-- sqlite/step_events
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    queue, task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id,
    spawned_by, start_by_ts, claim_token, incarnation, result, error, traceback, checkpoint
FROM step_events
ORDER BY step_id, version;

-- sqlite/steps
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids));

-- sqlite/steps_by_age
-- Steps in the order of their submission.
SELECT rowid, step_id, version, status, created_ts, last_update_ts
FROM step_tracker
WHERE rowid > :after
ORDER BY rowid
LIMIT :limit;

-- sqlite/steps_with_unique_keys
-- The steps that may have one of these unique keys: those that are not final, and those whose time
-- has not passed. Each index holds only the steps with a unique key.
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker INDEXED BY step_tracker_unique_active
WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) 
    AND status IN ('pending', 'waiting', 'claimed')
UNION
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version, queue,
    task_type, key, unique_key, unique_until_ts, labels, timeout, parents, workflow_id, spawned_by,
    start_by_ts, snoozes, checkpoint, progress
FROM step_tracker INDEXED BY step_tracker_unique_until
WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND unique_until_ts > :now;

-- sqlite/submit_plain_step
-- Submit a step without options, which most are: every column that is named takes time.
INSERT INTO step_tracker (
    step_id, status, retry_count, created_ts, last_update_ts, version, is_queued,
    payload, available_ts, priority, max_retries, task_type
)
VALUES (
    :step_id, 'pending', 0, :created_ts, :created_ts, 1, :available_ts <= :created_ts,
    :payload, :available_ts, :priority, :max_retries, :task_type
);

-- sqlite/submit_step
INSERT INTO step_tracker (
    step_id, status, retry_count, created_ts, last_update_ts, version, is_queued,
    payload, priority, max_retries, available_ts, queue, task_type, key, unique_key,
    unique_until_ts, labels, timeout, parents, workflow_id, spawned_by, start_by_ts
)
VALUES (
    :step_id, :status, 0, :created_ts, :created_ts, 1, :available_ts <= :created_ts,
    :payload, :priority, :max_retries, :available_ts, :queue, :task_type, :key, :unique_key,
    :unique_until_ts, :labels, :timeout, :parents, :workflow_id, :spawned_by, :start_by_ts
);

-- sqlite/take_orphans
DELETE FROM orphans
WHERE step_id IN (SELECT step_id FROM orphans ORDER BY step_id LIMIT :limit)
RETURNING step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size;

-- sqlite/time_of_event
-- When the event happened that has :number events before it since :since.
SELECT event_ts FROM step_events WHERE event_ts >= :since ORDER BY event_ts LIMIT 1 OFFSET :number;

-- sqlite/update_step
UPDATE step_tracker
SET status = :status, priority = :priority, payload = :payload, retry_count = :retry_count,
    available_ts = :available_ts, claimed_by = :claimed_by, incarnation = :incarnation,
    claim_token = :claim_token, result = :result, error = :error, traceback = :traceback,
    task_type = :task_type, labels = :labels, parents = :parents, start_by_ts = :start_by_ts,
    snoozes = :snoozes, checkpoint = :checkpoint, last_update_ts = :last_update_ts,
    version = :version,
    is_queued = (:available_ts <= :last_update_ts)
WHERE step_id = :step_id;

-- sqlite/upsert_alert
INSERT OR REPLACE INTO alerts (alert, status, since_ts, send_ts, tries, detail, version,
    last_update_ts)
VALUES (:alert, :status, :since_ts, :send_ts, :tries, :detail, :version, :last_update_ts);

-- sqlite/upsert_pod
INSERT OR REPLACE INTO pod_health (pod_id, status, birth_ts, last_heartbeat_ts, incarnation,
    version, description)
VALUES (:pod_id, :status, :birth_ts, :last_heartbeat_ts, :incarnation, :version, :description);

-- sqlite/upsert_queue
INSERT OR REPLACE INTO queues (queue, max_running, max_running_per_key, rate_count, rate_period,
    paused, tokens, refilled_ts, version, last_update_ts)
VALUES (:queue, :max_running, :max_running_per_key, :rate_count, :rate_period, :paused, :tokens,
    :refilled_ts, :version, :last_update_ts);

-- sqlite/upsert_schedule
INSERT OR REPLACE INTO schedules (schedule, step, cron, every, tz, overlap, missed, window, status,
    next_ts, last_ts, last_step_id, skipped, firings, version, last_update_ts)
VALUES (:schedule, :step, :cron, :every, :tz, :overlap, :missed, :window, :status, :next_ts,
    :last_ts, :last_step_id, :skipped, :firings, :version, :last_update_ts);

-- sqlite/wait_again
-- Add a dependency on each of these steps to every waiting step of this version or a later one that
-- has it as a parent.
INSERT OR IGNORE INTO dependencies (parent_id, child_id, kind)
SELECT parent.key, child.step_id, parent.value
FROM step_tracker AS child INDEXED BY step_tracker_with_parents
CROSS JOIN json_each(child.parents) AS parent
WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
    AND child.status = 'waiting' AND child.version >= :least_version
    AND parent.key IN (SELECT value FROM json_each(:parent_ids));

-- sqlite/waiting_below
-- The steps that depend on one of these, or on others of them, and so on down.
WITH RECURSIVE below (step_id) AS (
    SELECT dependency.child_id
    FROM json_each(:step_ids) AS parent
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = parent.value
    UNION
    SELECT dependency.child_id
    FROM below
    CROSS JOIN dependencies AS dependency ON dependency.parent_id = below.step_id
)
SELECT step_id FROM below;

-- sqlite/waiting_by_type
-- How many steps of each queue and task type wait for others.
SELECT queue, task_type, count(*)
FROM step_tracker INDEXED BY step_tracker_with_parents
WHERE parents IS NOT NULL AND status IN ('pending', 'waiting', 'claimed') AND status = 'waiting'
GROUP BY queue, task_type;

-- sqlite/waiting_types
-- The queues and task types of which steps wait, with a key or without one, and whether the queue has
-- limits. Reads a few entries of the index for each, however many steps wait.
WITH RECURSIVE waiting (queue, task_type, is_keyless) AS (
    SELECT *
    FROM (
        SELECT queue, task_type, key IS NULL
        FROM step_tracker INDEXED BY step_tracker_queue
        WHERE status = 'pending' AND is_queued = 1
        ORDER BY queue, task_type, key IS NULL
        LIMIT 1
    )
    UNION ALL
    SELECT next.value ->> 0, next.value ->> 1, next.value ->> 2
    FROM waiting
    JOIN json_each(json_array(coalesce(
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue = waiting.queue
                AND step.task_type = waiting.task_type AND (step.key IS NULL) > waiting.is_keyless
            LIMIT 1
        ),
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue = waiting.queue
                AND step.task_type > waiting.task_type
            ORDER BY step.task_type, step.key IS NULL
            LIMIT 1
        ),
        (
            SELECT json_array(step.queue, step.task_type, step.key IS NULL)
            FROM step_tracker AS step INDEXED BY step_tracker_queue
            WHERE status = 'pending' AND is_queued = 1 AND step.queue > waiting.queue
            ORDER BY step.queue, step.task_type, step.key IS NULL
            LIMIT 1
        )
    ))) AS next
    WHERE next.value IS NOT NULL
)
SELECT queue, task_type, is_keyless, EXISTS (
    SELECT 1
    FROM queues
    WHERE queues.queue = waiting.queue AND (
        paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
    )
)
FROM waiting;

-- sqlite/with_dependencies
SELECT value
FROM json_each(:step_ids)
WHERE EXISTS (SELECT 1 FROM dependencies WHERE child_id = value);

-- sqlite/workflow_steps
-- The steps of a workflow after the row :after.
SELECT step.rowid, step.step_id, step.status, step.task_type, step.retry_count, step.created_ts,
    step.last_update_ts, step.parents, step.spawned_by, substr(step.error, 1, 500)
FROM step_tracker AS step INDEXED BY step_tracker_workflow
WHERE step.workflow_id = :workflow_id AND step.rowid > :after
ORDER BY step.rowid
LIMIT :limit;

-- sqlite/write_progress
-- Write what the function of a claimed step reports.
UPDATE step_tracker
SET progress = :progress
WHERE step_id = :step_id AND status = 'claimed' AND claim_token = :claim_token;
