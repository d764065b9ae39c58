-- Events of steps that a page of the log may have, with what it shows of them.
SELECT
    event.event_ts, event.step_id, event.version, event.type, event.pod_id, step.queue,
    nullif(step.task_type, ''), substr(event.error, 1, 500)
FROM step_events AS event
LEFT JOIN step_tracker AS step ON step.step_id = event.step_id
WHERE (event.event_ts, event.step_id, event.version) > (:after_ts, :after_name, :after_version)
    AND (event.event_ts, event.step_id, event.version) < (:before_ts, :before_name, :before_version)
    AND (:by IS NULL OR event.pod_id = :by)
    AND (:types IS NULL OR event.type IN (SELECT value FROM json_each(:types)))
    AND (:queue IS NULL OR step.queue = :queue)
