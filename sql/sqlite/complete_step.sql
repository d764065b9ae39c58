UPDATE step_tracker
SET status = 'completed', last_update_ts = ?2, result = ?3, error = NULL, traceback = NULL,
    version = ?4
WHERE step_id = ?1
