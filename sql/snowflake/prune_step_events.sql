-- Delete the events of steps that do not exist any more.
DELETE FROM {step_events}
WHERE step_id IN (
    SELECT ended.value[0]::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:ended))) AS ended
    WHERE NOT EXISTS (
        SELECT 1
        FROM {step_tracker} AS step
        WHERE step.step_id = ended.value[0]::VARCHAR
    )
)
