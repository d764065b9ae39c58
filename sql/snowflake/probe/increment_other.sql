UPDATE {other} SET n = n + 1
