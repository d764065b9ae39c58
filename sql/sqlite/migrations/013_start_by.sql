-- The steps that must begin by some time and have not. Others are not in it.
CREATE INDEX IF NOT EXISTS step_tracker_start_by ON step_tracker (start_by_ts)
    WHERE start_by_ts IS NOT NULL AND status IN ('pending', 'waiting') AND retry_count = 0
        AND snoozes = 0;
