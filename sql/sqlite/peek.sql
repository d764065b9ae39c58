-- What the claim of an idle pod reads.
SELECT
    {{pending_pairs}},
    ({{has_inbox_rows}}) AS has_inbox_rows,
    {{is_claimed}} AS is_any_claimed,
    ({{next_firing}}) AS next_firing
