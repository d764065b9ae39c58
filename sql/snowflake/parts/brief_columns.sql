-- What counts and lanes need of an event.
event.step_id, step.queue, step.task_type, event.type,
DATE_PART(epoch_microsecond, event.event_ts) AS event_ts,
DATE_PART(epoch_microsecond, event.available_ts) AS available_ts,
event.type = 'submitted' AND event.parents IS NOT NULL AS waits,
event.pod_id, event.incarnation, SUBSTR(event.error, 1, 500) AS error
