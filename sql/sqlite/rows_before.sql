-- The :most latest rows between :after and :before: the first of them, and their number.
SELECT min(place), count(*)
FROM (
    SELECT rowid AS place
    FROM step_tracker
    WHERE rowid > :after AND rowid < :before
    ORDER BY rowid DESC
    LIMIT :most
)
