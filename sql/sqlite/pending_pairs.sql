-- The first and the last queue and task type of which steps wait, and whether there is a delayed
-- step.
SELECT
    {{first_pair}},
    {{last_pair}},
    {{is_delayed}}
