-- The first statement of a migration's transaction. If it changes no row, another process was
-- first.
UPDATE {fleet_q} SET schema_version = {version} WHERE schema_version < {version}
