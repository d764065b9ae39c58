-- Take a token for each step that this change claimed from a queue with a rate.
UPDATE {queues}
SET tokens = {{tokens_now}} - change.claimed * rate_period, refilled_ts = CURRENT_TIMESTAMP()
FROM (
    SELECT queue AS claimed_from, COUNT(*) AS claimed
    FROM {step_tracker}
    WHERE change_id = :change_id AND change_type = 'claimed'
    GROUP BY queue
) AS change
WHERE change.claimed_from = {queues}.queue AND {queues}.rate_count IS NOT NULL
