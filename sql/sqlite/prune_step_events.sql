-- Delete the events before the rows, while these still show which steps have not changed.
DELETE FROM step_events
WHERE step_id IN (
    SELECT step.step_id
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
)
