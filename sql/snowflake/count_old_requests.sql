SELECT COUNT(*) FROM {sync_requests}
WHERE sent_ts < DATEADD(minute, -10, CURRENT_TIMESTAMP())
