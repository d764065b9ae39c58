-- How many of the steps that children need wait for the step which this change completed.
SELECT COUNT(*)
FROM {{parents}} AS edge
WHERE edge.status = 'waiting' AND edge.parent_change_id = :change_id
    AND edge.step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:needed))))
