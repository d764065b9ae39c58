-- The events of steps until a moment, with what a list shows of them.
SELECT
    {step_event_columns with
        payload = iif(payload IS NULL, NULL, 'null');
        result = iif(result IS NULL, NULL, 'null');
        checkpoint = iif(checkpoint IS NULL, NULL, 'null');
        error = substr(error, 1, 500);
        traceback = NULL
    }
FROM step_events
WHERE step_id IN (SELECT value FROM json_each(:step_ids)) AND event_ts <= :moment
ORDER BY step_id, version
