-- Lock the row of a schedule. A query may not see yet what another session has committed; an UPDATE
-- changes what is there, and a transaction sees what it has changed.
UPDATE {schedules}
SET firings = firings
WHERE schedule = :schedule
