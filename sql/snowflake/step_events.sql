SELECT {step_event_columns}
FROM {step_events}
WHERE step_id <> ''
ORDER BY step_id, version
