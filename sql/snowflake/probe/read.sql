SELECT n, text FROM {table} WHERE id = :id
