-- The steps whose parents are kept until they end, and how many of each task type wait for them.
DROP INDEX IF EXISTS step_tracker_with_parents;

CREATE INDEX step_tracker_with_parents ON step_tracker (status, queue, task_type)
    WHERE parents IS NOT NULL AND status IN ('pending', 'waiting', 'claimed');
