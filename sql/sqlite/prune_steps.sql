DELETE FROM step_tracker
WHERE rowid IN (
    SELECT step.rowid
    FROM json_each(:ended) AS ended
    CROSS JOIN step_tracker AS step ON step.step_id = ended.value ->> 0
    WHERE step.version = ended.value ->> 1 AND step.last_update_ts <= :before
)
