SELECT COUNT(*) FROM {{marked_requests}}
