-- Not among the migrations: it costs time at each change, and only those who look at the past need it.
CREATE INDEX IF NOT EXISTS step_events_time ON step_events (event_ts)
