-- Cancelled steps, and steps with statuses of newer versions.
CREATE INDEX IF NOT EXISTS step_tracker_others ON step_tracker (status)
    WHERE status <> 'completed' AND status <> 'claimed' AND status <> 'pending'
        AND status <> 'failed';

DROP INDEX IF EXISTS step_tracker_cancelled;
