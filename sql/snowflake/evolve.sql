-- What an event makes of a step: the one place in this dialect that says so. A statement joins it
-- to the rows that it changes, as ``change``.
SET
    status = CASE
        WHEN change.type IN ('claimed', 'completed', 'failed', 'cancelled') THEN change.type
        ELSE 'pending'
    END,
    retry_count = CASE
        WHEN change.type IN ('retried', 'recovered') THEN {step_tracker}.retry_count + 1
        WHEN change.type = 'replayed' THEN 0
        ELSE {step_tracker}.retry_count
    END,
    last_update_ts = CURRENT_TIMESTAMP(),
    available_ts = CASE
        WHEN change.type = 'retried' AND change.retry_delay > 0
            THEN DATEADD(microsecond, change.retry_delay, CURRENT_TIMESTAMP())
        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed')
            THEN TO_TIMESTAMP_LTZ(0, 6)
        ELSE {step_tracker}.available_ts
    END,
    claimed_by = CASE
        WHEN change.type = 'claimed' THEN change.claimed_by
        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed') THEN NULL
        ELSE {step_tracker}.claimed_by
    END,
    incarnation = CASE
        WHEN change.type = 'claimed' THEN change.incarnation
        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed') THEN NULL
        ELSE {step_tracker}.incarnation
    END,
    claim_token = CASE
        WHEN change.type = 'claimed' THEN change.claim_token
        WHEN change.type IN ('retried', 'released', 'recovered', 'replayed') THEN NULL
        ELSE {step_tracker}.claim_token
    END,
    result = CASE WHEN change.type = 'completed' THEN change.result ELSE {step_tracker}.result END,
    error = CASE
        WHEN change.type IN ('retried', 'recovered', 'failed') THEN change.error
        WHEN change.type = 'completed' THEN NULL
        ELSE {step_tracker}.error
    END,
    traceback = CASE
        WHEN change.type IN ('retried', 'recovered', 'failed') THEN change.traceback
        WHEN change.type = 'completed' THEN NULL
        ELSE {step_tracker}.traceback
    END,
    version = {step_tracker}.version + 1,
    change_id = :change_id,
    change_type = change.type,
    change_token = change.claim_token
