SELECT {queue_columns}
FROM {queues} AS queue
WHERE queue.change_id = :change_id
