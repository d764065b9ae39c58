UPDATE step_tracker
SET {step_changes},
    due = (:available_ts <= :last_update_ts)
WHERE step_id = :step_id
