SELECT COUNT(*) FROM {step_progress}
