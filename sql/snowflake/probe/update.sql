UPDATE {table} SET n = :n WHERE id = :id
