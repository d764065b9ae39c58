SELECT
    '['
    || COALESCE(LISTAGG(outcomes, ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), '')
    || ']'
FROM {{marked_requests}}
WHERE outcomes <> ''
