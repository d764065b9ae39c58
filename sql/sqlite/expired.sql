SELECT step_id
{{expired_steps}}
LIMIT :limit
