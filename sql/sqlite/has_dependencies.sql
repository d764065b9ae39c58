SELECT EXISTS (SELECT 1 FROM dependencies) AS has_dependencies
