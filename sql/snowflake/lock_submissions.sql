-- Serialize submissions with ids chosen by users, by locking this row: a table without an enforced
-- key would store an id twice if two were submitted at once.
UPDATE {fleet_q} SET submissions = submissions + 1
