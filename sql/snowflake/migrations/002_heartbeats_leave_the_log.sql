-- Heartbeats are no events any more: they only update POD_HEALTH. Heartbeats in the log are
-- deleted, except those that woke a sleeping pod, which become 'woke'. Versions are renumbered from
-- 1.

ALTER TABLE {pod_health} ADD COLUMN IF NOT EXISTS change_type VARCHAR(16);

-- Pods of an earlier FLEET-Q write this column, so they fail and end.
ALTER TABLE {pod_health} DROP COLUMN IF EXISTS change_ts;

UPDATE {pod_events}
SET type = 'woke'
FROM (
    SELECT woke.pod_id, woke.version
    FROM {pod_events} AS slept
    JOIN {pod_events} AS woke ON woke.pod_id = slept.pod_id AND woke.version = slept.version + 1
    WHERE slept.type = 'slept' AND woke.type = 'heartbeat'
) AS change
WHERE {pod_events}.pod_id = change.pod_id AND {pod_events}.version = change.version;

DELETE FROM {pod_events}
WHERE type = 'heartbeat';

UPDATE {pod_events}
SET version = change.number
FROM (
    SELECT pod_id, version, ROW_NUMBER() OVER (PARTITION BY pod_id ORDER BY version) AS number
    FROM {pod_events}
) AS change
WHERE {pod_events}.pod_id = change.pod_id AND {pod_events}.version = change.version;

UPDATE {pod_health}
SET version = change.number
FROM (
    SELECT pod_id, COUNT(*) AS number
    FROM {pod_events}
    GROUP BY pod_id
) AS change
WHERE {pod_health}.pod_id = change.pod_id;
