SELECT {step_event_columns}
FROM {step_events}
WHERE step_id = :step_id
ORDER BY version
