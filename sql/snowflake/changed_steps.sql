-- The steps that a change was about, as they are now.
SELECT {step_columns}
FROM {step_tracker} AS step
WHERE step.step_id IN (SELECT step_id FROM {step_events} WHERE change_id = :change_id)
