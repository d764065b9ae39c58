-- Serialize changes of queues by locking this row: a table without an enforced key would store a
-- queue twice if two processes changed it at once.
UPDATE {fleet_q} SET submissions = submissions + 1
