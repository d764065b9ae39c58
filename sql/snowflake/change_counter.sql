-- The number of events that were ever written: COUNT(*), plus the number of pruned events, which is
-- how far MIN(version) is below 1 (see note_pruned.sql). Snowflake answers this text from its
-- metadata, without a warehouse.
SELECT COUNT(*), MIN(version)
FROM {step_events}
