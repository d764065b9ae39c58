SELECT
    {{is_claimed}} AS is_any_claimed,
    ({{next_firing}}) AS next_firing
