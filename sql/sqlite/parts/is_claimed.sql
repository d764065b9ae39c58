-- Whether a step is claimed.
EXISTS (SELECT 1 FROM step_tracker INDEXED BY step_tracker_claimed WHERE status = 'claimed')
