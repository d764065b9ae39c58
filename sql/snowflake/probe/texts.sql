SELECT text FROM {table} WHERE id = 'large'
