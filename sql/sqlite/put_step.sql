-- An existing row keeps its rowid: rowids are in the order of submission.
INSERT INTO step_tracker ({step_names}, is_queued)
VALUES ({step_values}, :available_ts <= :last_update_ts)
ON CONFLICT (step_id) DO UPDATE
SET {step_from_excluded},
    is_queued = excluded.is_queued
