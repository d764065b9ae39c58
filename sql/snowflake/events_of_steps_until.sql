-- The events of steps until a moment, with what a list shows of them.
SELECT
    {step_event_columns with
        payload = CASE WHEN payload IS NOT NULL THEN 'null' END;
        result = CASE WHEN result IS NOT NULL THEN 'null' END;
        checkpoint = CASE WHEN checkpoint IS NOT NULL THEN 'null' END;
        error = SUBSTR(error, 1, 500);
        traceback = NULL
    }
FROM {step_events}
WHERE step_id IN (SELECT value::VARCHAR FROM TABLE(FLATTEN(input => PARSE_JSON(:step_ids))))
    AND event_ts <= TO_TIMESTAMP_LTZ(:moment, 6)
ORDER BY step_id, version
