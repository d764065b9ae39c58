-- Lock the limits of queues, so that one claim at a time counts what is claimed. A transaction sees
-- what it has changed, whatever its queries see of the commits of other sessions.
UPDATE {queues} SET version = version
