INSERT INTO {other} (id, n, text) VALUES ('a', 0, NULL)
