-- The number of events that were ever written: COUNT(*), plus the number of pruned events, which is
-- how far MIN(version) is below 1 (see note_pruned.sql); and the rows of the inbox. Snowflake answers
-- this text without a warehouse, from the result that it keeps, until one of the tables changes.
SELECT
    (SELECT COUNT(*) FROM {step_events}),
    (SELECT MIN(version) FROM {step_events}),
    (SELECT COUNT(*) FROM {step_inbox}),
    (SELECT MAX(row_id) FROM {step_inbox})
