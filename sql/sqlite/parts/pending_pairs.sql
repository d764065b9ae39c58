-- The first and the last queue and task type of which steps wait, whether these two queues have limits,
-- and whether there are a delayed step and an expired one.
{{first_pair}} AS first_pair,
{{last_pair}} AS last_pair,
{{first_has_limits}} AS first_has_limits,
{{last_has_limits}} AS last_has_limits,
{{is_delayed}} AS is_delayed,
{{is_expired}} AS is_expired
