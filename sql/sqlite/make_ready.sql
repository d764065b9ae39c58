-- Apply the event Ready to these waiting steps.
UPDATE step_tracker
SET status = 'pending', last_update_ts = :now, version = version + 1,
    is_queued = (available_ts <= :now)
FROM json_each(:step_ids) AS ready
WHERE step_id = ready.value AND +status = 'waiting'
