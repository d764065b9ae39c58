-- What steps are routed, limited and found by. Steps of earlier versions are in the queue 'default';
-- their type is in their payload.
ALTER TABLE step_events ADD COLUMN queue TEXT;
ALTER TABLE step_events ADD COLUMN task_type TEXT;
ALTER TABLE step_events ADD COLUMN key TEXT;
ALTER TABLE step_events ADD COLUMN unique_key TEXT;
ALTER TABLE step_events ADD COLUMN unique_until_ts INTEGER;
ALTER TABLE step_events ADD COLUMN labels TEXT;
ALTER TABLE step_events ADD COLUMN timeout INTEGER;

ALTER TABLE step_tracker ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
ALTER TABLE step_tracker ADD COLUMN task_type TEXT NOT NULL DEFAULT '';
ALTER TABLE step_tracker ADD COLUMN key TEXT;
ALTER TABLE step_tracker ADD COLUMN unique_key TEXT;
ALTER TABLE step_tracker ADD COLUMN unique_until_ts INTEGER;
ALTER TABLE step_tracker ADD COLUMN labels TEXT;
ALTER TABLE step_tracker ADD COLUMN timeout INTEGER;

UPDATE step_events
SET task_type = payload ->> '$.task_type'
WHERE type = 'submitted' AND json_valid(payload) AND json_type(payload, '$.task_type') = 'text';

UPDATE step_tracker
SET task_type = payload ->> '$.task_type'
WHERE json_valid(payload) AND json_type(payload, '$.task_type') = 'text';

-- Makes processes of an earlier FLEET-Q fail if they had this file open during the migration: they
-- would submit steps without a type.
ALTER TABLE step_tracker RENAME COLUMN due TO is_queued;
