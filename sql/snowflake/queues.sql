SELECT {queue_columns}
FROM {queues} AS queue
ORDER BY queue.queue
