-- Whether the pod may take a step, by the rule of Routes.serve in core/routing.py. Routes that are
-- missing mean all.
(
    GET_PATH(PARSE_JSON(:routes), 'queues') IS NULL
    OR queue IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'queues')))
    )
)
AND (
    GET_PATH(PARSE_JSON(:routes), 'task_types') IS NULL
    OR task_type IN (
        SELECT value::VARCHAR
        FROM TABLE(FLATTEN(input => GET_PATH(PARSE_JSON(:routes), 'task_types')))
    )
)
