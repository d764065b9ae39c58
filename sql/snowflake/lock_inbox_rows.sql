-- Lock these rows, so that the DELETE after this counts those that no other sync has taken in.
UPDATE {step_inbox}
SET payload = payload
WHERE row_id IN (
    SELECT value::NUMBER(38, 0)
    FROM TABLE(FLATTEN(input => PARSE_JSON(:row_ids)))
)
