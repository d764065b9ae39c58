SELECT count(*) FROM step_inbox
