SELECT status, COUNT(*)
FROM {step_tracker}
GROUP BY status
