-- The steps that were last changed by this change.
SELECT {step_columns}
FROM {step_tracker} AS step
WHERE step.step_id IN (SELECT step_id FROM {step_events} WHERE change_id = :change_id)
