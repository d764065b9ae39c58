-- The parents of steps, a row each, whether they are open or have ended otherwise than their child
-- requires, by the rule of is_lost in core/dependencies.py. A parent that was pruned counts as ended.
(
    SELECT
        edge.step_id, edge.version, edge.status, edge.error, edge.changed_for, edge.parent_id,
        edge.kind, parent.status AS parent_status, parent.change_id AS parent_change_id,
        parent.changed_for AS parent_changed_for,
        COALESCE(parent.status IN ('pending', 'waiting', 'claimed'), FALSE) AS is_open,
        COALESCE(edge.kind = 'success' AND parent.status IN ('failed', 'cancelled'), FALSE) AS is_lost
    FROM (
        SELECT
            child.step_id, child.version, child.status, child.error, child.changed_for,
            one.key AS parent_id, one.value::VARCHAR AS kind
        FROM {step_tracker} AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
        WHERE child.parents IS NOT NULL
    ) AS edge
    LEFT JOIN {step_tracker} AS parent ON parent.step_id = edge.parent_id
)
