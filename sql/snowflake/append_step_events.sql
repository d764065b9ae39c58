-- The events of one change, read off the rows that it left behind.
INSERT INTO {step_events} (
    step_id, version, type, event_ts, pod_id, claim_token, incarnation, payload, priority,
    max_retries, available_ts, result, error, traceback, change_id
)
SELECT
    step_id, version, change_type, last_update_ts, :pod_id,
    change_token,
    CASE WHEN change_type = 'claimed' THEN incarnation END,
    CASE WHEN change_type = 'submitted' THEN payload END,
    CASE WHEN change_type = 'submitted' THEN priority END,
    CASE WHEN change_type = 'submitted' THEN max_retries END,
    CASE
        WHEN change_type IN ('submitted', 'retried', 'released', 'recovered', 'replayed')
            THEN available_ts
    END,
    CASE WHEN change_type = 'completed' THEN result END,
    CASE WHEN change_type IN ('retried', 'recovered', 'failed') THEN error END,
    CASE WHEN change_type IN ('retried', 'failed') THEN traceback END,
    change_id
FROM {step_tracker}
WHERE change_id = :change_id
