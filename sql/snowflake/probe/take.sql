-- As a claim does: take a row that nobody has.
UPDATE {table} SET text = :text WHERE id = :id AND text IS NULL
