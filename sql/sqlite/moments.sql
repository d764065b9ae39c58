-- When events of some types happened to steps.
SELECT step_id, type, event_ts
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids))
    AND type IN (SELECT value FROM json_each(:types))
ORDER BY step_id, version
