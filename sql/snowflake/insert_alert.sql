INSERT INTO {alerts} (
    {alert_names}
)
SELECT
    {alert_values}
FROM TABLE(FLATTEN(input => PARSE_JSON(:alerts))) AS alert
