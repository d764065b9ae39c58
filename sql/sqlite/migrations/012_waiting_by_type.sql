-- The steps whose parents are kept until they end, and how many of each task type wait for them. Those
-- of a later version than the first may wait for new steps under the ids of pruned parents.
DROP INDEX IF EXISTS step_tracker_with_parents;

CREATE INDEX step_tracker_with_parents ON step_tracker (status, version, queue, task_type)
    WHERE parents IS NOT NULL AND status IN ('pending', 'waiting', 'claimed');
