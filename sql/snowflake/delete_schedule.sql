-- Delete the row of a schedule, if it is as the caller has read it, to insert another.
DELETE FROM {schedules}
WHERE schedule = :schedule AND version = :expected_version AND firings = :expected_firings
