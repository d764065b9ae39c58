SELECT DISTINCT schema_version, table_kind FROM {fleet_q}
