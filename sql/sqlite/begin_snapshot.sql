-- The first read of a transaction fixes the snapshot that it sees.
SELECT EXISTS (SELECT 1 FROM pod_health) AS has_pods
