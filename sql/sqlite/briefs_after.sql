-- All events of the next steps by id. CROSS JOIN keeps those of a step together and in order.
SELECT
    {{brief_columns}}
FROM (
    SELECT step_id, queue, task_type
    FROM step_tracker
    WHERE step_id > :after
    ORDER BY step_id
    LIMIT :limit
) AS step
CROSS JOIN step_events AS event ON event.step_id = step.step_id
