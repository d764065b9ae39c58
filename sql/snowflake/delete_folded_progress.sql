DELETE FROM {step_progress}
WHERE change_id = :change_id
