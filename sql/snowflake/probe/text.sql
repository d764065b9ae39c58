SELECT text FROM {table} WHERE id = 'large' LIMIT 1
