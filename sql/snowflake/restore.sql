-- Make those fallen steps wait again that a replay of parents brings back.
UPDATE {step_tracker}
{{evolve_after}}
FROM (
    SELECT step_id, version, :pod_id AS pod_id, 'restored' AS type, {event_values}
    FROM {{fallen}}
    WHERE parents_back > 0
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
