INSERT OR REPLACE INTO queues ({queue_names})
VALUES ({queue_values})
