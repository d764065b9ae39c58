-- Lock the limits of queues, so that one claim at a time counts what is claimed. A transaction sees
-- what it has changed, whatever its queries see of the commits of other sessions. If the clock was set
-- back, a bucket of tokens refills from now on, but for the time that this statement may have waited.
UPDATE {queues}
SET refilled_ts = LEAST(refilled_ts, DATEADD(second, 300, CURRENT_TIMESTAMP()))
