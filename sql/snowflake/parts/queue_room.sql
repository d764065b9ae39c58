-- The queues with limits, and how many more of their steps may be claimed, by the rule of QueueRoom
-- in core/queues.py. If the clock was set back since a bucket was refilled, one step may be claimed,
-- so that a claim locks the limits, which corrects the bucket.
(
    SELECT
        queue, max_running_per_key,
        CASE
            WHEN paused THEN 0
            ELSE LEAST(
                COALESCE(max_running - COALESCE(running.claimed, 0), 1000000000),
                COALESCE(
                    CASE
                        WHEN refilled_ts > DATEADD(second, 300, CURRENT_TIMESTAMP())
                            THEN SIGN(rate_period)
                        ELSE FLOOR({{tokens_now}} / rate_period)
                    END,
                    1000000000
                )
            )
        END AS room
    FROM {queues}
    LEFT JOIN (
        SELECT queue AS running_in, COUNT(*) AS claimed
        FROM {{running_steps}} AS held
        GROUP BY queue
    ) AS running ON running_in = queue
    WHERE {{has_limits}}
)
