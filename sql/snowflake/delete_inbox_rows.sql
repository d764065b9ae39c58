DELETE FROM {step_inbox}
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
)
