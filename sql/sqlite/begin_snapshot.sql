-- A transaction sees the file as it is when it first reads; nothing keeps it waiting after that.
SELECT EXISTS (SELECT 1 FROM pod_health)
