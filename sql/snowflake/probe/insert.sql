INSERT INTO {table} (id, n, text) VALUES (:id, :n, :text)
