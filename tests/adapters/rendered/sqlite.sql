-- Written by python -m tests.adapters.rendered; do not change it by hand.

-- sqlite/add_orphan
INSERT OR REPLACE INTO dead_letters
    (step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- sqlite/all_steps
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
ORDER BY step_id;

-- sqlite/append_claims
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, incarnation)
SELECT step_id, version, 'claimed', last_update_ts, claimed_by, claim_token, incarnation
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token;

-- sqlite/append_completions
-- The events first, while the rows still say whose the steps are. The plus signs keep SQLite from
-- walking all that the claim holds for each of the results.
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, claim_token, result)
SELECT step.step_id, step.version + 1, 'completed', :now, :pod_id, :claim_token, success.value
FROM json_each(:results) AS success
CROSS JOIN step_tracker AS step ON step.step_id = success.key
WHERE +step.status = 'claimed' AND +step.claim_token = :claim_token;

-- sqlite/append_submissions
-- The events of the last :count steps that this connection has inserted; their rows are numbered
-- one by one.
INSERT INTO step_events (
    step_id, version, type, event_ts, pod_id,
    payload, priority, max_retries, available_ts
)
SELECT
    step_id, version, 'submitted', created_ts, :pod_id,
    payload, priority, max_retries, available_ts
FROM step_tracker
WHERE rowid > last_insert_rowid() - :count;

-- sqlite/begin_reading
BEGIN;

-- sqlite/begin_snapshot
-- A transaction sees the file as it is when it first reads; nothing keeps it waiting after that.
SELECT EXISTS (SELECT 1 FROM pod_health);

-- sqlite/begin_writing
BEGIN IMMEDIATE;

-- sqlite/change_counter
-- Another number after every commit of another connection, as seen by this one.
PRAGMA data_version;

-- sqlite/claim
-- What Claimed makes of these rows.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (SELECT value FROM json_each(:ids));

-- sqlite/claim_some
-- What Claimed makes of those of the first steps of the queue, :ids, that a claim may take.
UPDATE step_tracker
SET status = 'claimed', last_update_ts = :now, claimed_by = :pod_id, incarnation = :incarnation,
    claim_token = :claim_token, version = version + 1
WHERE rowid IN (
    SELECT id
    FROM (
        SELECT id, has_tries_left, row_number() OVER claim AS place, sum(size) OVER claim AS bytes
        FROM (
            SELECT rowid AS id, retry_count < max_retries AS has_tries_left,
                length(payload) AS size, priority, created_ts, step_id
            FROM step_tracker
            WHERE rowid IN (SELECT value FROM json_each(:ids))
        )
        WINDOW claim AS (
            ORDER BY priority DESC, created_ts, step_id ROWS UNBOUNDED PRECEDING
        )
    )
    WHERE (place = 1 OR bytes <= :most_bytes) AND (place <= :free OR has_tries_left)
);

-- sqlite/claimable
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
WHERE status = 'pending' AND due = 1
    AND (
        available_ts <= max(:now, last_update_ts) OR (version > 1 AND last_update_ts > :now)
    )
ORDER BY priority DESC, created_ts, step_id
LIMIT :limit;

-- sqlite/claimed
-- The claimed steps as one value: a row each would be a switch of threads each.
SELECT json_group_array(
    json_array(
        step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
        available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
    )
)
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claim_token = :claim_token;

-- sqlite/claimed_under
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker INDEXED BY step_tracker_claimed
WHERE status = 'claimed' AND claimed_by = :pod_id AND incarnation = :incarnation
    AND claim_token = :claim_token
ORDER BY priority DESC, created_ts, step_id;

-- sqlite/complete
-- What Completed makes of the steps that are still held under this token.
UPDATE step_tracker
SET status = 'completed', last_update_ts = :now, result = success.value, error = NULL,
    traceback = NULL, version = version + 1
FROM json_each(:results) AS success
WHERE step_id = success.key AND +status = 'claimed' AND +claim_token = :claim_token;

-- sqlite/counts
-- The steps of each status. Those that are completed are what is left of the total: counting them
-- would read the whole table.
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND due = 1
UNION ALL
SELECT 'pending', count(*) FROM step_tracker WHERE status = 'pending' AND due = 0
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
CREATE TABLE dead_letters (
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
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
WHERE status = 'failed' AND (last_update_ts, step_id) < (:before_ts, :before_id)
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit;

-- sqlite/delete_pods
DELETE FROM pod_health
WHERE pod_id IN (SELECT value FROM json_each(:pod_ids));

-- sqlite/delete_unknown_steps
-- Those of the ids that the log does not know.
DELETE FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
    AND NOT EXISTS (SELECT 1 FROM step_events AS event WHERE event.step_id = step_tracker.step_id);

-- sqlite/events_of_steps
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    claim_token, incarnation, result, error, traceback
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
ORDER BY step_id, version;

-- sqlite/file_identity
-- Whose file it is: what its header says, and how many tables, indexes and the like it has.
SELECT (SELECT application_id FROM pragma_application_id),
       (SELECT user_version FROM pragma_user_version),
       (SELECT count(*) FROM sqlite_master);

-- sqlite/first_due
-- The first steps of the queue, as one value, and whether a claim may take all of them: none that
-- would wait is on its last try, and the payloads are not too large together.
SELECT
    json_group_array(id),
    (count(*) < 2 OR total(size) <= :most_bytes)
        AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0)
FROM (
    SELECT rowid AS id, length(payload) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND due = 1
        AND (
            available_ts <= max(:now, last_update_ts)
            OR (version > 1 AND last_update_ts > :now)
        )
    ORDER BY priority DESC, created_ts, step_id
    LIMIT :limit
);

-- sqlite/history
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    claim_token, incarnation, result, error, traceback
FROM step_events
WHERE step_id = :step_id
ORDER BY version;

-- sqlite/insert_pod_event
INSERT INTO pod_events (pod_id, version, type, event_ts, by_pod_id, incarnation)
VALUES (:pod_id, :version, :type, :event_ts, :by_pod_id, :incarnation);

-- sqlite/insert_step_event
INSERT INTO step_events (step_id, version, type, event_ts, pod_id, payload, priority, max_retries,
    available_ts, claim_token, incarnation, result, error, traceback)
VALUES (:step_id, :version, :type, :event_ts, :pod_id, :payload, :priority, :max_retries,
    :available_ts, :claim_token, :incarnation, :result, :error, :traceback);

-- sqlite/is_any_claimed
SELECT EXISTS (SELECT 1 FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed');

-- sqlite/is_any_due
SELECT EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND due = 1
        AND (
            available_ts <= max(:now, last_update_ts) OR (version > 1 AND last_update_ts > :now)
        )
) OR EXISTS (
    SELECT 1
    FROM step_tracker INDEXED BY step_tracker_delayed
    WHERE status = 'pending' AND due = 0 AND available_ts <= :now
);

-- sqlite/latest_heartbeat
SELECT coalesce(max(last_heartbeat_ts), 0) FROM pod_health;

-- sqlite/mark_due
UPDATE step_tracker
SET due = 1
WHERE status = 'pending' AND due = 0 AND available_ts <= :now;

-- sqlite/mark_due_by_new_clock
-- After the clock was set back: the retries that failed later than now. No index has them, so this
-- reads all that wait for their time.
UPDATE step_tracker
SET due = 1
WHERE status = 'pending' AND due = 0 AND version > 1 AND last_update_ts > :now;

-- sqlite/newest_dead_letters
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
WHERE status = 'failed'
ORDER BY last_update_ts DESC, step_id DESC
LIMIT :limit;

-- sqlite/next_due
SELECT min(available_ts)
FROM step_tracker
WHERE status = 'pending' AND due = 0 AND available_ts > :now;

-- sqlite/orphans
-- The planner would walk all steps by their id, and find the few that are claimed on its way.
SELECT step_id, claim_token, claimed_by, incarnation, retry_count, max_retries,
    length(payload) + ifnull(length(error), 0) + ifnull(length(traceback), 0) AS size
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

-- sqlite/pod
SELECT pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version
FROM pod_health
WHERE pod_id = :pod_id;

-- sqlite/pod_events
SELECT pod_id, version, type, event_ts, by_pod_id, incarnation
FROM pod_events
ORDER BY pod_id, version;

-- sqlite/pod_history
SELECT pod_id, version, type, event_ts, by_pod_id, incarnation
FROM pod_events
WHERE pod_id = :pod_id
ORDER BY version;

-- sqlite/pods
SELECT pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version
FROM pod_health
ORDER BY pod_id;

-- sqlite/prune_pod
DELETE FROM pod_health
WHERE pod_id = :pod_id AND incarnation = :incarnation AND version = :version
    AND last_heartbeat_ts = :last_heartbeat_ts;

-- sqlite/prune_pod_events
DELETE FROM pod_events
WHERE pod_id = :pod_id;

-- sqlite/prune_step_events
-- The events first, while the rows still say which steps have not changed.
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
-- A row that is there keeps its place: rows are stored in the order of their age.
INSERT INTO step_tracker (step_id, status, priority, payload, retry_count, max_retries, created_ts,
    last_update_ts, available_ts, claimed_by, incarnation, claim_token, result, error, traceback,
    version, due)
VALUES (:step_id, :status, :priority, :payload, :retry_count, :max_retries, :created_ts,
    :last_update_ts, :available_ts, :claimed_by, :incarnation, :claim_token, :result, :error,
    :traceback, :version, :available_ts <= :last_update_ts)
ON CONFLICT (step_id) DO UPDATE
SET status = excluded.status, priority = excluded.priority, payload = excluded.payload,
    retry_count = excluded.retry_count, max_retries = excluded.max_retries,
    created_ts = excluded.created_ts, last_update_ts = excluded.last_update_ts,
    available_ts = excluded.available_ts, claimed_by = excluded.claimed_by,
    incarnation = excluded.incarnation, claim_token = excluded.claim_token,
    result = excluded.result, error = excluded.error, traceback = excluded.traceback,
    version = excluded.version,
    due = excluded.due;

-- sqlite/rejected_completions
-- Of these successes, the ids that are not, or not under this token, completed.
SELECT success.key
FROM json_each(:results) AS success
WHERE NOT EXISTS (
    SELECT 1
    FROM step_tracker
    WHERE step_id = success.key AND +status = 'completed' AND +claim_token = :claim_token
);

-- sqlite/step_events
SELECT step_id, version, type, event_ts, pod_id, payload, priority, max_retries, available_ts,
    claim_token, incarnation, result, error, traceback
FROM step_events
ORDER BY step_id, version;

-- sqlite/steps
SELECT step_id, status, priority, payload, retry_count, max_retries, created_ts, last_update_ts,
    available_ts, claimed_by, incarnation, claim_token, result, error, traceback, version
FROM step_tracker
WHERE step_id IN (SELECT value FROM json_each(:step_ids));

-- sqlite/steps_by_age
-- Steps in the order in which they were stored.
SELECT rowid, step_id, version, status, created_ts, last_update_ts
FROM step_tracker
WHERE rowid > :after
ORDER BY rowid
LIMIT :limit;

-- sqlite/submit_step
INSERT INTO step_tracker (
    step_id, status, retry_count, created_ts, last_update_ts, version, due,
    payload, priority, max_retries, available_ts
)
VALUES (
    :step_id, 'pending', 0, :created_ts, :created_ts, 1, :available_ts <= :created_ts,
    :payload, :priority, :max_retries, :available_ts
);

-- sqlite/take_orphans
DELETE FROM dead_letters
WHERE step_id IN (SELECT step_id FROM dead_letters ORDER BY step_id LIMIT :limit)
RETURNING step_id, claim_token, claimed_by, incarnation, retry_count, max_retries, size;

-- sqlite/update_step
UPDATE step_tracker
SET status = :status, retry_count = :retry_count, available_ts = :available_ts,
    claimed_by = :claimed_by, incarnation = :incarnation, claim_token = :claim_token,
    result = :result, error = :error, traceback = :traceback, last_update_ts = :last_update_ts,
    version = :version,
    due = (:available_ts <= :last_update_ts)
WHERE step_id = :step_id;

-- sqlite/upsert_pod
INSERT OR REPLACE INTO pod_health (pod_id, status, birth_ts, last_heartbeat_ts, incarnation,
    version)
VALUES (:pod_id, :status, :birth_ts, :last_heartbeat_ts, :incarnation, :version);
