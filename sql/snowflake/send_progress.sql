-- Insert what functions report, triples of step id, claim token and JSON text.
INSERT INTO {step_progress} (step_id, claim_token, progress, reported_ts)
SELECT value[0]::VARCHAR, value[1]::VARCHAR, value[2]::VARCHAR, CURRENT_TIMESTAMP()
FROM TABLE(FLATTEN(input => PARSE_JSON(:progress)))
