INSERT INTO {table} (id, n, text) SELECT id, n, text FROM {table} WHERE id = :id
