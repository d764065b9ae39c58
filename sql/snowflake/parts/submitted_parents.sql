-- The parents of the steps of submissions.
(
    SELECT new.submission_id, one.key AS parent_id
    FROM (
        SELECT
            value:submission_id::VARCHAR AS submission_id, value:parents::VARCHAR AS parents
        FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
    ) AS new, LATERAL FLATTEN(input => PARSE_JSON(new.parents)) AS one
    WHERE new.parents IS NOT NULL
)
