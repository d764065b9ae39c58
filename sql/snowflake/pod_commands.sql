-- Carry out commands that waited in the mailbox. :requests has, for each status in which one is
-- allowed, that status, the status after it, the type of its event and whether it is a sign of life.
-- A command that needs a step is carried out if this change has claimed one under that token.
UPDATE {pod_health}
SET
    status = command.becomes,
    last_heartbeat_ts = CASE
        WHEN command.is_sign_of_life THEN CURRENT_TIMESTAMP()
        ELSE {pod_health}.last_heartbeat_ts
    END,
    version = {pod_health}.version + 1,
    change_id = :change_id,
    change_type = command.type
FROM (
    SELECT
        value:pod_id::VARCHAR AS pod_id, value:incarnation::VARCHAR AS incarnation,
        value:was::VARCHAR AS was, value:becomes::VARCHAR AS becomes,
        value:type::VARCHAR AS type, value:is_sign_of_life::BOOLEAN AS is_sign_of_life,
        value:needs::VARCHAR AS needs
    FROM TABLE(FLATTEN(input => PARSE_JSON(:requests)))
    WHERE value:becomes::VARCHAR <> ''
) AS command
WHERE {pod_health}.pod_id = command.pod_id AND {pod_health}.incarnation = command.incarnation
    AND {pod_health}.status = command.was
    AND command.needs IN (
        SELECT ''
        UNION ALL
        SELECT claim_token
        FROM {step_tracker}
        WHERE status = 'claimed' AND change_id = :change_id
    )
