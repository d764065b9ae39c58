SELECT {{is_delayed}}, {{is_expired}}
