-- All events, with what the log shows of them.
SELECT
    event.event_ts, 'step' AS stream, event.step_id AS name, event.version, event.type,
    event.pod_id AS by_whom, step.queue, NULLIF(step.task_type, '') AS task_type,
    SUBSTR(event.error, 1, 500) AS error
FROM {step_events} AS event
LEFT JOIN {step_tracker} AS step ON step.step_id = event.step_id
WHERE event.step_id <> ''
UNION ALL
SELECT event_ts, 'pod', pod_id, version, type, by_pod_id, NULL, NULL, NULL
FROM {pod_events}
UNION ALL
SELECT event_ts, 'queue', queue, version, type, changed_by, queue, NULL, NULL
FROM {queue_events}
UNION ALL
SELECT event_ts, 'schedule', schedule, version, type, changed_by, NULL, NULL, NULL
FROM {schedule_events}
