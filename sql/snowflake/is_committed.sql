-- Whether a change was committed. A heartbeat writes no event, so pods are searched too.
SELECT EXISTS (SELECT 1 FROM {step_events} WHERE change_id = :change_id)
    OR EXISTS (SELECT 1 FROM {pod_events} WHERE change_id = :change_id)
    OR EXISTS (SELECT 1 FROM {pod_health} WHERE change_id = :change_id) AS is_committed
