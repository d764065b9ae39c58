-- The parents of steps that are not final, which are kept.
(
    SELECT one.key
    FROM {step_tracker} AS child, LATERAL FLATTEN(input => PARSE_JSON(child.parents)) AS one
    WHERE child.parents IS NOT NULL AND child.status IN ('pending', 'waiting', 'claimed')
)
