-- Whether a step that a change wrote needs nothing else: it has not ended, or no step waits.
(
    status NOT IN ('completed', 'failed', 'cancelled')
    OR NOT EXISTS (SELECT 1 FROM {step_tracker} AS other WHERE other.status = 'waiting')
)
