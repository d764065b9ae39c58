-- Those of the accepted submissions whose parents all exist, or are in the same submission.
SELECT '[' || COALESCE(LISTAGG('"' || submission_id || '"', ','), '') || ']'
FROM (
    SELECT value::VARCHAR AS submission_id
    FROM TABLE(FLATTEN(input => PARSE_JSON(:accepted)))
) AS one
WHERE submission_id NOT IN (
    SELECT submitted.submission_id
    FROM {{submitted_parents}} AS submitted
    LEFT JOIN {step_tracker} AS parent ON parent.step_id = submitted.parent_id
    LEFT JOIN (
        SELECT value:submission_id::VARCHAR AS submission_id, value:step_id::VARCHAR AS step_id
        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
    ) AS own
        ON own.submission_id = submitted.submission_id AND own.step_id = submitted.parent_id
    WHERE parent.step_id IS NULL AND own.step_id IS NULL
)
