-- Lock the steps that have these ids, so that the transaction sees them as they are: see
-- lock_submitted.sql.
UPDATE {step_tracker}
SET version = version
WHERE step_id IN (
    SELECT value::VARCHAR
    FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids)))
)
