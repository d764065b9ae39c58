-- The first statement of a migration's transaction: who finds no row to change comes too late.
UPDATE {fleet_q} SET schema_version = {version} WHERE schema_version < {version}
