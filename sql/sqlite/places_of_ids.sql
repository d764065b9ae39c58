-- The rows whose ids begin with a text: they lie between it and the next text of its length.
SELECT rowid
FROM step_tracker
WHERE step_id >= :id_prefix AND step_id < :id_prefix || char(0x10ffff)
LIMIT :limit
