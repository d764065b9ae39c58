-- Delete requests that were answered or given up long ago.
DELETE FROM {sync_requests}
WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP())
