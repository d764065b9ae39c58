SELECT {step_event_columns}
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
ORDER BY step_id, version
