SELECT {queue_columns}
FROM queues
ORDER BY queue
