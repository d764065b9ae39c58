-- Insert pods as folded from the log.
INSERT INTO {pod_health} (
    {pod_names}
)
SELECT
    {pod_values}
FROM TABLE(FLATTEN(input => PARSE_JSON(:pods))) AS pod
