SELECT COALESCE(SUM(outcome_count), 0)::NUMBER(38, 0) FROM {{marked_requests}}
