SELECT COALESCE(SUM(claim), 0)::NUMBER(38, 0) FROM {{marked_requests}}
