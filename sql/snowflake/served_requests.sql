SELECT
    '['
    || COALESCE(LISTAGG(request, ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), '')
    || ']'
FROM {{marked_requests}}
