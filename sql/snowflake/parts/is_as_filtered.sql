-- Whether a step meets the conditions of a filter on columns that change. The labels are a pattern for
-- pairs as they are in the JSON text of a step, each after a comma.
(
    :statuses IS NULL
    OR status IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses))))
)
AND (
    :task_types IS NULL
    OR task_type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:task_types))))
)
AND (:labels IS NULL OR ',' || SUBSTR(labels, 2) LIKE :labels ESCAPE '^')
AND (:pod_id IS NULL OR claimed_by = :pod_id)
