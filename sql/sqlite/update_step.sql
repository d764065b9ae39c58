UPDATE step_tracker
SET {step_changes},
    is_queued = (:available_ts <= :last_update_ts)
WHERE step_id = :step_id
