-- Steps as the log has them.
INSERT INTO {step_tracker} (
    {step_names}
)
SELECT
    {step_values}
FROM TABLE(FLATTEN(input => PARSE_JSON(:steps))) AS step
