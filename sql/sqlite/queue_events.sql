SELECT {queue_event_columns}
FROM queue_events
ORDER BY queue, version
