-- How many events there ever were: those that are there, and as many as the least version is below
-- 1, which those have been pruned that are not. It asks for no more than a count and a least value,
-- and always in the same words: Snowflake answers it from its metadata, without a warehouse.
SELECT COUNT(*), MIN(version)
FROM {step_events}
