SELECT max(rowid) FROM step_tracker
