-- When events of some types happened to steps.
SELECT step_id, type, DATE_PART(epoch_microsecond, event_ts)
FROM {step_events}
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
    AND type IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:types))))
ORDER BY step_id, version
