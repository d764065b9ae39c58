-- Mark what this change moves. What is inserted meanwhile is left for the next one.
UPDATE {step_progress}
SET change_id = :change_id
WHERE change_id IS NULL
