-- The last row up to a place, and when its step was submitted.
SELECT rowid, created_ts FROM step_tracker WHERE rowid <= :place ORDER BY rowid DESC LIMIT 1
