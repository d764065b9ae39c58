-- Delete the row of an alert, if it is as the caller has read it, to insert another.
DELETE FROM {alerts}
WHERE alert = :alert AND version = :expected_version
