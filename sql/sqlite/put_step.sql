-- An existing row keeps its rowid, for these are in the order of submission, and its progress, which
-- is not in the log.
INSERT INTO step_tracker ({step_names}, is_queued)
VALUES ({step_values}, :available_ts <= :last_update_ts)
ON CONFLICT (step_id) DO UPDATE
SET {step_from_excluded with progress = step_tracker.progress},
    is_queued = excluded.is_queued
