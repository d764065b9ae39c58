INSERT INTO dependencies (parent_id, child_id, kind)
VALUES (?, ?, ?)
