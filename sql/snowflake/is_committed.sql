-- Whether a call that writes events was committed.
SELECT EXISTS (SELECT 1 FROM {step_events} WHERE change_id = :change_id)
    OR EXISTS (SELECT 1 FROM {pod_events} WHERE change_id = :change_id) AS is_committed
