-- A row that is there keeps its place: rows are stored in the order of their age.
INSERT INTO step_tracker ({step_names}, due)
VALUES ({step_values}, :available_ts <= :last_update_ts)
ON CONFLICT (step_id) DO UPDATE
SET {step_from_excluded},
    due = excluded.due
