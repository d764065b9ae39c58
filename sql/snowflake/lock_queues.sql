-- Serialize changes of queues and schedules by locking this row: a table without an enforced key would
-- store one twice if two processes changed it at once.
UPDATE {fleet_q} SET submissions = submissions + 1
