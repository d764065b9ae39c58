-- The ids of the submissions that may be stored: all but those of which a step has an id or a unique key,
-- or an older submission has, or of which a step to replace has changed.
(
    SELECT submitted.submission_id
    FROM (
        SELECT
            submission_id, step_id, unique_key, replaces,
            ROW_NUMBER() OVER (PARTITION BY step_id ORDER BY number) AS place,
            CASE
                WHEN unique_key IS NOT NULL
                    THEN ROW_NUMBER() OVER (PARTITION BY unique_key ORDER BY number)
                ELSE 1
            END AS place_of_key
        FROM (
            SELECT
                index AS number, value:submission_id::VARCHAR AS submission_id,
                value:step_id::VARCHAR AS step_id, value:unique_key::VARCHAR AS unique_key,
                value:replaces::NUMBER(38, 0) AS replaces
            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
        ) AS posted
    ) AS submitted
    LEFT JOIN {step_tracker} AS step ON step.step_id = submitted.step_id
    LEFT JOIN {step_tracker} AS owner
        ON owner.unique_key = submitted.unique_key AND {{has_unique_key}}
    GROUP BY submitted.submission_id
    HAVING MAX(place) = 1 AND MAX(place_of_key) = 1
        AND COUNT(
            CASE
                WHEN replaces IS NULL
                    THEN CASE WHEN step.step_id IS NOT NULL OR owner.step_id IS NOT NULL THEN 1 END
                WHEN step.step_id IS NULL OR step.status <> 'pending' OR step.version <> replaces
                    THEN 1
            END
        ) = 0
)
