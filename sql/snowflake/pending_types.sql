SELECT DISTINCT queue, task_type
FROM {step_tracker}
WHERE status = 'pending'
