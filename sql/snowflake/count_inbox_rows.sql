-- How many of these rows are in the inbox.
SELECT COUNT(*)
FROM {step_inbox}
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
)
