DELETE FROM step_inbox
WHERE row_id <= :row_id
