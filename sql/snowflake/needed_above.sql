-- The steps for which those of the steps wait that do wait, as a JSON list.
SELECT '[' || COALESCE(LISTAGG(DISTINCT TO_JSON(TO_VARIANT(edge.parent_id)), ','), '') || ']'
FROM {{parents}} AS edge
WHERE edge.status = 'waiting'
    AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed))))
