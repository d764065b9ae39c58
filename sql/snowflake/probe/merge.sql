MERGE INTO {table} USING (SELECT :id AS id) AS new ON {table}.id = new.id
WHEN MATCHED THEN UPDATE SET n = {table}.n + 1
WHEN NOT MATCHED THEN INSERT (id, n) VALUES (new.id, 0)
