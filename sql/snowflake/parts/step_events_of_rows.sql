-- Events derived from the rows that a change wrote. A step that a user cancelled keeps the error of
-- its last attempt, which is not in the event.
INSERT INTO {step_events} (
    step_id, version, type, event_ts, pod_id, change_id,
    {fact_names}
)
SELECT
    step_id, version, change_type, last_update_ts, changed_for, change_id,
    {fact_values with
        claim_token = change_token;
        error = CASE
            WHEN change_type IN ('retried', 'recovered', 'failed', 'rejected')
                OR (change_type = 'cancelled'
                    AND (change_id LIKE '% settled' OR change_id LIKE '% expired'))
                THEN error
        END
    }
FROM {step_tracker}
