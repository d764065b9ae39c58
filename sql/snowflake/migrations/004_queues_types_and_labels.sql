-- What steps are routed, limited and found by. Steps of earlier versions are in the queue 'default';
-- their type is in their payload. The columns have no defaults, as IF NOT EXISTS excludes them.
ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS queue VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS task_type VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS key VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS unique_key VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS unique_until_ts TIMESTAMP_LTZ(6);

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS labels VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS timeout NUMBER(38, 0);

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS queue VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS task_type VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS key VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS unique_key VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS unique_until_ts TIMESTAMP_LTZ(6);

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS labels VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS timeout NUMBER(38, 0);

-- Which pod a row was last changed for. Processes of an earlier FLEET-Q write it under its former name,
-- so they fail: they would submit steps without a type.
ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS changed_for VARCHAR;

ALTER TABLE {step_tracker} DROP COLUMN IF EXISTS change_pod_id;

UPDATE {step_events}
SET task_type = CASE
        WHEN TO_JSON(PARSE_JSON(payload):task_type) LIKE '"%'
            THEN PARSE_JSON(payload):task_type::VARCHAR
        ELSE ''
    END
WHERE type = 'submitted';

UPDATE {step_tracker}
SET queue = 'default',
    task_type = CASE
        WHEN TO_JSON(PARSE_JSON(payload):task_type) LIKE '"%'
            THEN PARSE_JSON(payload):task_type::VARCHAR
        ELSE ''
    END;
