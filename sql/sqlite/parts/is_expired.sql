-- Whether a step has expired, by the rule of is_expired in core/step.py.
EXISTS (
    SELECT 1
    {{expired_steps}}
)
