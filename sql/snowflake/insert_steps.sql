-- Insert steps as folded from the log.
INSERT INTO {step_tracker} (
    {step_names}
)
SELECT
    {step_values}
FROM TABLE(FLATTEN(input => PARSE_JSON(:steps))) AS step
