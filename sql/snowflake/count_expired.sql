-- How many steps have expired.
SELECT COUNT(*)
FROM {step_tracker}
WHERE status IN ('pending', 'waiting')
    AND {{is_expired}}
