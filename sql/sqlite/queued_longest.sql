-- When the queued step of a queue and task type that has waited longest was submitted or became due,
-- if that was before :before. Later ones were submitted later, so their rows are not read.
SELECT min(max(created_ts, available_ts))
FROM step_tracker INDEXED BY step_tracker_queue
WHERE status = 'pending' AND is_queued = 1 AND queue = :queue AND task_type = :task_type
    AND created_ts <= :before
