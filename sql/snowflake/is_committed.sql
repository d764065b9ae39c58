-- Whether a change whose commit was not answered took place. A heartbeat leaves no event.
SELECT EXISTS (SELECT 1 FROM {step_events} WHERE change_id = :change_id)
    OR EXISTS (SELECT 1 FROM {pod_events} WHERE change_id = :change_id)
    OR EXISTS (SELECT 1 FROM {pod_health} WHERE change_id = :change_id) AS is_committed
