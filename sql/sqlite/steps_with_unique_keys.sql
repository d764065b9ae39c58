-- The steps that may have one of these unique keys: those that are not final, and those whose time
-- has not passed. Each index holds only the steps with a unique key.
SELECT {step_columns}
FROM step_tracker INDEXED BY step_tracker_unique_active
WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) 
    AND status IN ('pending', 'waiting', 'claimed')
UNION
SELECT {step_columns}
FROM step_tracker INDEXED BY step_tracker_unique_until
WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND unique_until_ts > :now
