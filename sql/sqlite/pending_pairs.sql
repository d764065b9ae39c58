-- The first and the last queue and task type of which steps wait, whether these two queues have limits,
-- and whether there are a delayed step and an expired one.
SELECT
    {{first_pair}},
    {{last_pair}},
    {{first_has_limits}},
    {{last_has_limits}},
    {{is_delayed}},
    {{is_expired}}
