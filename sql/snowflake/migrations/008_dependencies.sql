-- What steps wait for, and what their functions leave behind. None of it is set in steps of earlier
-- versions. snoozes has no default, as IF NOT EXISTS excludes it.
ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS parents VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS workflow_id VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS spawned_by VARCHAR;

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS start_by_ts TIMESTAMP_LTZ(6);

ALTER TABLE {step_events} ADD COLUMN IF NOT EXISTS checkpoint VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS parents VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS workflow_id VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS spawned_by VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS start_by_ts TIMESTAMP_LTZ(6);

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS snoozes NUMBER(38, 0);

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS checkpoint VARCHAR;

ALTER TABLE {step_tracker} ADD COLUMN IF NOT EXISTS progress VARCHAR;

UPDATE {step_tracker} SET snoozes = 0;
