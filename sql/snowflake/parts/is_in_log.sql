-- Whether an event of the log meets all conditions of a filter.
(:since IS NULL OR event_ts >= TO_TIMESTAMP_LTZ(:since, 6))
AND (:until IS NULL OR event_ts < TO_TIMESTAMP_LTZ(:until, 6))
AND (:by IS NULL OR by_whom = :by)
AND (:step_id IS NULL OR name = :step_id)
AND (:queue IS NULL OR queue = :queue)
AND (
    :types IS NULL
    OR type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:types))))
)
AND stream IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:streams))))
