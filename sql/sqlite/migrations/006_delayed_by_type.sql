-- A pod looks only for delayed steps of the queues and task types that it takes.
DROP INDEX step_tracker_delayed;

CREATE INDEX step_tracker_delayed ON step_tracker (queue, task_type, available_ts)
    WHERE is_queued = 0 AND status = 'pending';
