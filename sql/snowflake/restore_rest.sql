-- Make those fallen steps wait again that an earlier replay had too many levels for.
UPDATE {step_tracker}
{{evolve_after}}
FROM (
    SELECT step_id, version, NULL AS pod_id, 'restored' AS type, {event_values}
    FROM {{fallen}}
    WHERE named_parents > 0
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
