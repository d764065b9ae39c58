UPDATE {table} SET {column} = {column} WHERE FALSE
