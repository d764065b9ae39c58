SELECT {step_columns}
FROM {step_tracker} AS step
ORDER BY step.step_id
