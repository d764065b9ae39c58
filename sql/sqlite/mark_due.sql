UPDATE step_tracker
SET due = 1
WHERE status = 'pending' AND due = 0 AND available_ts <= :now
