-- How full a queue's token bucket is now, by the rule of refilled in core/queues.py.
LEAST(
    tokens + rate_count * LEAST(
        GREATEST(DATEDIFF(microsecond, refilled_ts, CURRENT_TIMESTAMP()), 0), rate_period
    ),
    rate_count * rate_period
)
