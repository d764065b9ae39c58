DELETE FROM queues
WHERE queue IN (SELECT value FROM json_each(:queues))
