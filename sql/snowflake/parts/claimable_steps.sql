-- The steps that the pod may claim: those of queues without limits; and, if the caller has seen to it
-- that :within_limits these are counted, the first of the others for which there is room.
(
    SELECT
        step_id, version, priority, created_ts, change_id, FALSE AS is_limited,
        retry_count < max_retries AS has_tries_left, OCTET_LENGTH(payload) AS size
    FROM {step_tracker}
    WHERE status = 'pending'
        AND {{is_due}}
        AND NOT {{is_expired}}
        AND {{is_served}}
        AND queue NOT IN (SELECT queue FROM {queues} WHERE {{has_limits}})
    UNION ALL
    SELECT
        step_id, version, priority, created_ts, change_id, TRUE AS is_limited, has_tries_left, size
    FROM (
        SELECT
            step_id, version, priority, created_ts, change_id, has_tries_left, size, room,
            ROW_NUMBER() OVER (
                PARTITION BY queue ORDER BY priority DESC, created_ts, step_id
            ) AS place_in_queue
        FROM (
            SELECT
                step.step_id, step.version, step.priority, step.created_ts, step.change_id,
                step.queue, step.key, step.retry_count < step.max_retries AS has_tries_left,
                OCTET_LENGTH(step.payload) AS size, limited.room,
                limited.max_running_per_key AS per_key,
                COALESCE(of_key.claimed, 0) AS claimed_of_key,
                ROW_NUMBER() OVER (
                    PARTITION BY step.queue, step.key
                    ORDER BY step.priority DESC, step.created_ts, step.step_id
                ) AS place_of_key
            FROM (
                SELECT *
                FROM {step_tracker}
                WHERE status = 'pending'
                    AND {{is_due}}
                    AND NOT {{is_expired}}
                    AND {{is_served}}
                    AND :within_limits
            ) AS step
            JOIN {{queue_room}} AS limited ON limited.queue = step.queue AND limited.room > 0
            LEFT JOIN (
                SELECT queue, key, COUNT(*) AS claimed
                FROM {{running_steps}} AS held
                GROUP BY queue, key
            ) AS of_key ON of_key.queue = step.queue AND of_key.key = step.key
        ) AS candidate
        WHERE key IS NULL OR per_key IS NULL OR place_of_key <= per_key - claimed_of_key
    ) AS candidate_of_queue
    WHERE place_in_queue <= room
)
