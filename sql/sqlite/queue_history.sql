SELECT {queue_event_columns}
FROM queue_events
WHERE queue = :queue
ORDER BY version
