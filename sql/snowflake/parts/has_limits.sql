-- Whether a queue has limits, by the rule of Queue.has_limits in core/queues.py.
(
    paused OR max_running IS NOT NULL OR max_running_per_key IS NOT NULL OR rate_count IS NOT NULL
)
