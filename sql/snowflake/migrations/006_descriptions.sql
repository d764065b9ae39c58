-- What a pod told about itself when it joined, as JSON: its host, version, slots, queues and task
-- types. Pods of earlier versions told nothing.
ALTER TABLE {pod_events} ADD COLUMN IF NOT EXISTS description VARCHAR;

ALTER TABLE {pod_health} ADD COLUMN IF NOT EXISTS description VARCHAR;
