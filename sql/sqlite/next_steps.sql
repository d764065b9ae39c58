-- The last of the next steps by id, and how many these are.
SELECT max(step_id), count(*)
FROM (SELECT step_id FROM step_tracker WHERE step_id > :after ORDER BY step_id LIMIT :limit)
