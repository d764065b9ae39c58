SELECT step_id, version
FROM {step_tracker}
WHERE last_update_ts <= TO_TIMESTAMP_LTZ(:before, 6) AND step_id > :after
    AND status IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:statuses))))
    AND step_id NOT IN {{needed_parents}}
QUALIFY ROW_NUMBER() OVER (ORDER BY step_id) <= :limit
ORDER BY step_id
