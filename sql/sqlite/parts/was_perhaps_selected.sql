-- Whether a step may have met all conditions of a filter at a moment: it does, and has not changed since
-- then, or only its events tell.
step.created_ts <= :moment
AND (
    (
        step.last_update_ts <= :moment
        AND {{is_selected}}
    )
    OR (
        step.last_update_ts > :moment
        AND {{is_fixed}}
    )
)
