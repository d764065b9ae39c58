SELECT schema_version FROM {fleet_q}
