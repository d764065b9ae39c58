-- What a pod told about itself when it joined, as JSON: its host, version, slots, queues and task
-- types. Pods of earlier versions told nothing.
ALTER TABLE pod_events ADD COLUMN description TEXT;
ALTER TABLE pod_health ADD COLUMN description TEXT;
