DELETE FROM step_tracker
