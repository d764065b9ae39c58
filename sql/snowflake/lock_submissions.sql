-- Submissions under ids of the users' own take turns at this row's lock, which nothing else takes: a
-- table without an enforced key would store one id twice if two came at once.
UPDATE {fleet_q} SET submissions = submissions + 1
