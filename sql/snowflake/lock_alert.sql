-- Lock the row of an alert. A query may not see yet what another session has committed; an UPDATE
-- changes what is there, and a transaction sees what it has changed.
UPDATE {alerts}
SET tries = tries
WHERE alert = :alert
