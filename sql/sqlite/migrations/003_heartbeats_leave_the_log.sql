-- Heartbeats are no events any more: they only update pod_health. Heartbeats in the log are
-- deleted, except those that woke a sleeping pod, which become 'woke'. Versions are renumbered from
-- 1.

ALTER TABLE pod_events RENAME TO pod_events_before;

CREATE TABLE pod_events (
    pod_id       TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    type         TEXT    NOT NULL,
    event_ts     INTEGER NOT NULL,
    by_pod_id    TEXT,
    incarnation  TEXT    NOT NULL,
    PRIMARY KEY (pod_id, version),
    -- Makes pods of an earlier FLEET-Q fail if they had this file open during the migration.
    CONSTRAINT "the file was migrated while it was in use; upgrade fleet-q" CHECK (type <> 'heartbeat')
) STRICT, WITHOUT ROWID;

INSERT INTO pod_events (pod_id, version, type, event_ts, by_pod_id, incarnation)
SELECT
    pod_id, row_number() OVER (PARTITION BY pod_id ORDER BY version), type, event_ts, by_pod_id,
    incarnation
FROM (
    SELECT pod_id, version, type, event_ts, by_pod_id, incarnation
    FROM pod_events_before
    WHERE type <> 'heartbeat'
    UNION ALL
    SELECT woke.pod_id, woke.version, 'woke', woke.event_ts, woke.by_pod_id, woke.incarnation
    FROM pod_events_before AS slept
    JOIN pod_events_before AS woke
        ON woke.pod_id = slept.pod_id AND woke.version = slept.version + 1
    WHERE slept.type = 'slept' AND woke.type = 'heartbeat'
);

DROP TABLE pod_events_before;

UPDATE pod_health
SET version = (SELECT max(version) FROM pod_events WHERE pod_events.pod_id = pod_health.pod_id)
WHERE pod_id IN (SELECT pod_id FROM pod_events);
