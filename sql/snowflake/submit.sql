-- Insert the steps of submissions, of each all or none: none if a step has an id of theirs, or an
-- older one of the submissions.
INSERT INTO {step_tracker} (
    step_id, status, retry_count, created_ts, last_update_ts, version, change_id, change_type,
    changed_for,
    {submitted_names}
)
SELECT
    new.value:step_id::VARCHAR, 'pending', 0, CURRENT_TIMESTAMP(), CURRENT_TIMESTAMP(), 1,
    accepted.submission_id, 'submitted', new.value:pod_id::VARCHAR,
    {submitted_values with
        available_ts = CASE
            WHEN new.value:delay::NUMBER(38, 0) = 0 THEN TO_TIMESTAMP_LTZ(0, 6)
            ELSE DATEADD(microsecond, new.value:delay::NUMBER(38, 0), CURRENT_TIMESTAMP())
        END;
        unique_until_ts = DATEADD(
            microsecond, new.value:unique_for::NUMBER(38, 0), CURRENT_TIMESTAMP()
        )
    }
FROM (SELECT value FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))) AS new
JOIN (
    SELECT submission_id
    FROM (
        SELECT
            submitted.submission_id, step.step_id AS existing_id,
            ROW_NUMBER() OVER (PARTITION BY submitted.step_id ORDER BY submitted.number) AS place
        FROM (
            SELECT
                index AS number, value:submission_id::VARCHAR AS submission_id,
                value:step_id::VARCHAR AS step_id
            FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
        ) AS submitted
        LEFT JOIN {step_tracker} AS step ON step.step_id = submitted.step_id
    ) AS checked
    GROUP BY submission_id
    HAVING COUNT(existing_id) = 0 AND MAX(place) = 1
) AS accepted ON accepted.submission_id = new.value:submission_id::VARCHAR
