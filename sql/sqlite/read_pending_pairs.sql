SELECT
    {{pending_pairs}}
