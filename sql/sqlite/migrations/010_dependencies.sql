-- What steps wait for, and what their functions leave behind. None of it is set in steps of earlier
-- versions.
ALTER TABLE step_events ADD COLUMN parents TEXT;
ALTER TABLE step_events ADD COLUMN workflow_id TEXT;
ALTER TABLE step_events ADD COLUMN spawned_by TEXT;
ALTER TABLE step_events ADD COLUMN start_by_ts INTEGER;
ALTER TABLE step_events ADD COLUMN checkpoint TEXT;

ALTER TABLE step_tracker ADD COLUMN parents TEXT;
ALTER TABLE step_tracker ADD COLUMN workflow_id TEXT;
ALTER TABLE step_tracker ADD COLUMN spawned_by TEXT;
ALTER TABLE step_tracker ADD COLUMN start_by_ts INTEGER;
ALTER TABLE step_tracker ADD COLUMN snoozes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE step_tracker ADD COLUMN checkpoint TEXT;
-- Bookkeeping of this table, not of the log.
ALTER TABLE step_tracker ADD COLUMN progress TEXT;

-- Bookkeeping that follows from the steps: a row for each parent of a step that waits, or was cancelled
-- because of one, unless that parent has ended as kind requires.
CREATE TABLE IF NOT EXISTS dependencies (
    parent_id  TEXT NOT NULL,
    child_id   TEXT NOT NULL,
    kind       TEXT NOT NULL,
    PRIMARY KEY (parent_id, child_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS dependencies_child ON dependencies (child_id);

-- A waiting step has its unique key, too.
DROP INDEX step_tracker_unique_active;

CREATE INDEX step_tracker_unique_active ON step_tracker (unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('pending', 'waiting', 'claimed');

-- The steps whose parents are kept until they end. Those of a later version than the first may wait
-- for new steps under the ids of parents that were pruned.
CREATE INDEX IF NOT EXISTS step_tracker_with_parents ON step_tracker (status, version)
    WHERE parents IS NOT NULL AND status IN ('pending', 'waiting', 'claimed');
