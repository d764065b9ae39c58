-- Apply the event Restored to these cancelled steps.
UPDATE step_tracker
SET status = 'waiting', last_update_ts = :now, version = version + 1, retry_count = 0, snoozes = 0,
    claimed_by = NULL, incarnation = NULL, claim_token = NULL, error = NULL, traceback = NULL,
    start_by_ts = NULL, is_queued = (available_ts <= :now)
FROM json_each(:step_ids) AS restored
WHERE step_id = restored.value AND +status = 'cancelled'
