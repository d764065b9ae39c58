-- Read what the marked requests ask for, in the order in which they were posted. That of a join is
-- what the pod tells about itself, which the statements that join it read.
SELECT
    COUNT(*), COUNT(CASE WHEN joins THEN 1 END),
    COUNT(CASE WHEN request LIKE '%"becomes":%' THEN 1 END),
    '['
        || COALESCE(
            LISTAGG(CASE WHEN NOT joins THEN NULLIF(request, '') END, ',')
                WITHIN GROUP (ORDER BY sent_ts, incarnation),
            ''
        )
        || ']',
    COALESCE(SUM(claim), 0)::NUMBER(38, 0),
    '[' || COALESCE(LISTAGG(NULLIF(outcomes, ''), ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), '')
        || ']',
    COALESCE(SUM(outcome_count), 0)::NUMBER(38, 0),
    '['
        || COALESCE(
            LISTAGG(NULLIF(submissions, ''), ',') WITHIN GROUP (ORDER BY sent_ts, incarnation), ''
        )
        || ']',
    COUNT(CASE WHEN submissions LIKE '%"replaces":%' THEN 1 END),
    COUNT(CASE WHEN submissions LIKE '%"parents":"%' THEN 1 END)
INTO :served, :join_count, :command_count, :requests, :claim, :outcomes, :outcome_count, :submissions,
    :replacing, :with_parents
FROM {{marked_requests}}
