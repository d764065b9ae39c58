SHOW TABLES LIKE '{prefix}%'
