SELECT {step_columns}
FROM step_tracker
ORDER BY step_id
