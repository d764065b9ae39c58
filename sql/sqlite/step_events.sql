SELECT {step_event_columns}
FROM step_events
ORDER BY step_id, version
