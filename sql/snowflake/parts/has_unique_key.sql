-- Whether a step has its unique key, by the rule of has_unique_key in core/uniqueness.py.
(
    owner.status NOT IN ('completed', 'failed', 'cancelled')
    OR owner.unique_until_ts > CURRENT_TIMESTAMP()
)
