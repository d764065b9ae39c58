-- The rowids of the first steps of the queue, as one JSON value; whether a claim may take all of
-- them, since no prefetched one is on its last try and the sum of their payloads is not too large;
-- the first and the last queue and task type of which steps wait; whether that first queue has
-- limits; whether there is a delayed step; and whether one has expired. They are the first steps in the
-- order of claims if that first and that last are the same.
SELECT
    json_group_array(id) AS ids,
    (count(*) < 2 OR total(size) <= :most_bytes)
        AND (:free >= :limit OR count(*) FILTER (WHERE retry_count >= max_retries) = 0)
        AS may_take_all,
    {{first_pair}} AS first_pair,
    {{last_pair}} AS last_pair,
    {{first_has_limits}} AS first_has_limits,
    {{is_delayed}} AS is_delayed,
    {{is_expired}} AS is_expired
FROM (
    SELECT rowid AS id, length(CAST(payload AS BLOB)) AS size, retry_count, max_retries
    FROM step_tracker INDEXED BY step_tracker_queue
    WHERE status = 'pending' AND is_queued = 1
        AND {{is_due}}
    ORDER BY queue, task_type, key IS NULL, priority DESC, created_ts, step_id
    LIMIT :limit
)
