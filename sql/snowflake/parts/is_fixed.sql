-- Whether a step meets the conditions of a filter on columns that never change.
(
    :queues IS NULL
    OR queue IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:queues))))
)
AND (
    :keys IS NULL
    OR key IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:keys))))
)
AND (:workflow_id IS NULL OR workflow_id = :workflow_id)
AND (:in_workflow IS NULL OR workflow_id IS NOT NULL)
AND STARTSWITH(step_id, :id_prefix)
AND (:submitted_from IS NULL OR created_ts >= TO_TIMESTAMP_LTZ(:submitted_from, 6))
AND (:submitted_before IS NULL OR created_ts < TO_TIMESTAMP_LTZ(:submitted_before, 6))
