-- Which steps have a unique key. Steps without one are in neither index.
CREATE INDEX IF NOT EXISTS step_tracker_unique_active ON step_tracker (unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('pending', 'claimed');
CREATE INDEX IF NOT EXISTS step_tracker_unique_until ON step_tracker (unique_key, unique_until_ts)
    WHERE unique_until_ts IS NOT NULL;
