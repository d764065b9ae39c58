UPDATE {table} SET n = n + 1
