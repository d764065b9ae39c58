-- The :most latest rows before :before: the first of them, their number, and when the last of them
-- was submitted.
SELECT min(place), count(*), max(created_ts)
FROM (
    SELECT rowid AS place, created_ts
    FROM step_tracker
    WHERE rowid < :before
    ORDER BY rowid DESC
    LIMIT :most
)
