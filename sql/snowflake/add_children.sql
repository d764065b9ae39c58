-- Let the steps that wait for one which this change completed wait for its children, too, unless they
-- are children themselves.
UPDATE {step_tracker}
{{evolve_spawned}}
FROM (
    SELECT
        step_id, version, pod_id, 'parents_added' AS type,
        {event_values with parents = all_parents}
    FROM (
        SELECT
            dependent.step_id, dependent.version, added.pod_id,
            LEFT(dependent.parents, LENGTH(dependent.parents) - 1) || ',' || added.texts || '}'
                AS all_parents
        FROM (
            SELECT
                edge.step_id, MAX(edge.parent_changed_for) AS pod_id,
                LISTAGG(child.text || ':"' || edge.kind || '"', ',')
                    WITHIN GROUP (ORDER BY child.number) AS texts
            FROM {{parents}} AS edge
            JOIN (
                SELECT
                    index AS number, value:spawner::VARCHAR AS spawner,
                    value:child_id::VARCHAR AS child_id, value:text::VARCHAR AS text
                FROM TABLE(FLATTEN(input => PARSE_JSON(:attached)))
            ) AS child
                ON child.spawner = edge.parent_id
            LEFT JOIN {{parents}} AS known
                ON known.step_id = edge.step_id AND known.parent_id = child.child_id
            WHERE edge.status = 'waiting' AND edge.parent_change_id = :change_id
                AND known.step_id IS NULL
                AND edge.step_id NOT IN (
                    SELECT value:step_id::VARCHAR
                    FROM TABLE(FLATTEN(input => PARSE_JSON(:submissions)))
                )
            GROUP BY edge.step_id
        ) AS added
        JOIN {step_tracker} AS dependent ON dependent.step_id = added.step_id
    ) AS extended
) AS change
WHERE {step_tracker}.step_id = change.step_id AND {step_tracker}.version = change.version
