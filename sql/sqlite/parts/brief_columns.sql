-- What counts and lanes need of an event.
event.step_id, step.queue, step.task_type, event.type, event.event_ts, event.available_ts,
event.parents IS NOT NULL AND event.type = 'submitted', event.pod_id, event.incarnation,
substr(event.error, 1, 500)
