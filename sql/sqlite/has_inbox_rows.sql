SELECT EXISTS (SELECT 1 FROM step_inbox) AS has_inbox_rows
